/** Kaiser's window, for filters whose stop band is this far down. */

/** dB. */
export const REJECTION = 100;

export const kaiserBeta = () => 0.1102 * (REJECTION - 8.7);

/**
 * Modified Bessel function of the first kind, order 0.
 *
 * @param {number} x
 */
export function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
