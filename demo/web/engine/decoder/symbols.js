/** Checks of CTC log-probabilities, and the choice of the labels that may extend prefixes in a frame. */

import { EdgespeechError } from "../errors.js";

const POSITIVE_TOLERANCE = 1e-3;
const MASS_TOLERANCE = 1e-9; // a sum of rounded numbers that is the mass reaches it

/**
 * Check that an array can be natural-log CTC probabilities.
 *
 * @param {Float32Array | Float64Array} logProbs [frames, labels]; minus infinity (impossible) is allowed.
 * @param {number} labels
 * @throws {EdgespeechError} Wrong width, NaN, positive values, or a frame where nothing is possible.
 */
export function checkLogProbs(logProbs, labels) {
  /** @param {string} what */
  const invalid = (what) => new EdgespeechError("DecodingError", `${what}; check the model and its input`);
  if (logProbs.length % labels) throw invalid(`${logProbs.length} log-probabilities; wanted a multiple of ${labels}`);
  for (let start = 0; start < logProbs.length; start += labels) {
    let best = -Infinity;
    for (let at = start; at < start + labels; at++) {
      const value = logProbs[at];
      if (!(value <= POSITIVE_TOLERANCE)) {
        throw invalid(`a log-probability of ${value} in frame ${start / labels}; wanted a natural logarithm, at most 0`);
      }
      if (value > best) best = value;
    }
    if (best === -Infinity) throw invalid(`every label of frame ${start / labels} is impossible`);
  }
}

export class SymbolChoice {
  #blank;
  #limit;
  #maxSymbols;
  #taken;

  /**
   * @param {number} labels
   * @param {number} blank
   * @param {number} mass The most probable labels are chosen until their probabilities reach it; 1 chooses all.
   * @param {number} maxSymbols Blank included.
   */
  constructor(labels, blank, mass, maxSymbols) {
    this.#blank = blank;
    this.#limit = mass < 1 ? mass * (1 - MASS_TOLERANCE) : Infinity;
    this.#maxSymbols = Math.min(maxSymbols, labels);
    this.#taken = new Uint8Array(labels);
    /** The chosen labels, ascending, without the blank; the first `count` entries. */
    this.symbols = new Int32Array(labels);
    this.count = 0;
  }

  /** @param {Float64Array} row Log-probabilities [labels]. */
  choose(row) {
    const taken = this.#taken.fill(0);
    let mass = 0;
    for (let rank = 0; rank < this.#maxSymbols; rank++) {
      let best = -1;
      for (let label = 0; label < row.length; label++) {
        if (!taken[label] && (best < 0 || row[label] > row[best])) best = label;
      }
      if (row[best] === -Infinity) break;
      taken[best] = 1;
      if (this.#limit === Infinity) continue;
      const probability = Math.exp(row[best]);
      mass += probability;
      if (!(mass - probability < this.#limit)) {
        taken[best] = 0;
        break;
      }
    }
    taken[this.#blank] = 0;
    this.count = 0;
    for (let label = 0; label < row.length; label++) if (taken[label]) this.symbols[this.count++] = label;
  }
}
