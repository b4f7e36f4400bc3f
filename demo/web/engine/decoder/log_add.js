/**
 * log(exp(x) + exp(y)).
 *
 * @param {number} x
 * @param {number} y
 */
export function logAdd(x, y) {
  if (x === y) return x + Math.LN2;
  const larger = Math.max(x, y);
  const difference = Math.abs(x - y);
  // Less than a quarter of the last bit of a number of this size: the sum is rounded to the larger one.
  if (difference > 45 && larger < -1e-3) return larger;
  return larger + Math.log1p(Math.exp(-difference));
}
