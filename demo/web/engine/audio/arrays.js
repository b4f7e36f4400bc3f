/**
 * Join arrays of samples into a new one.
 *
 * @param {Float32Array[]} pieces
 */
export function concatenate(pieces) {
  const joined = new Float32Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
