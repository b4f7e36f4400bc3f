/**
 * Round as Python does: halves to the even neighbour, so that numbers of frames are the same.
 *
 * @param {number} value
 */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}
