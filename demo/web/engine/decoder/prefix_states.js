/**
 * A table of the prefix states reached so far, with the look-ahead score of each label in each state.
 *
 * It is shared by all streams of a decoder. When it is full, a new one is begun and prefixes move to it, so that it
 * cannot grow without limit.
 */

import { START } from "./word_scorer.js";

/**
 * @typedef {import("./word_scorer.js").PrefixState} PrefixState
 * @typedef {import("./word_scorer.js").Ending} Ending
 */

const TABLE_BYTES = 10_000_000; // including the objects
const BYTES_PER_ENTRY = 12; // float64 score, int32 row
const BYTES_PER_STATE = 200;
const BYTES_PER_ENDING = 400;
const MIN_STATES = 256;

export class PrefixStates {
  /** @type {Map<string, number>} */
  #rows = new Map();
  /** @type {Map<number, {ending: Ending, row: number}>} */
  #endings = new Map();
  #rowBytes;
  #maxBytes;

  /**
   * @param {import("./word_scorer.js").WordScorer} scorer
   * @param {number} maxBytes
   */
  constructor(scorer, maxBytes = TABLE_BYTES) {
    this.scorer = scorer;
    const labels = scorer.labels;
    this.#rowBytes = BYTES_PER_ENTRY * labels + BYTES_PER_STATE;
    this.#maxBytes = Math.max(maxBytes, MIN_STATES * this.#rowBytes);
    const capacity = Math.ceil(this.#maxBytes / this.#rowBytes);
    /** State of each row. @type {PrefixState[]} */
    this.states = [];
    /** [states, labels], score that a prefix has after each label: an upper bound for those that end words. */
    this.lookahead = new Float64Array(capacity * labels);
    /** [states, labels], row of the state after each label that ends no word; 0 if not yet known. */
    this.nextRows = new Int32Array(capacity * labels);
    /** [states], maximum of the look-ahead scores of a state. */
    this.bestLookahead = new Float64Array(capacity);
    this.row(START);
  }

  /** Whether a new table should be begun. */
  get full() {
    return this.states.length * this.#rowBytes + this.#endings.size * BYTES_PER_ENDING >= this.#maxBytes;
  }

  /**
   * The row of a state, which is added if it is new.
   *
   * @param {PrefixState} state
   */
  row(state) {
    const key = `${state.text === null ? "\0" : state.text}\n${state.hot.join()}`;
    const found = this.#rows.get(key);
    if (found !== undefined) return found;
    const row = this.states.length;
    const labels = this.scorer.labels;
    if (row === this.bestLookahead.length) this.#double();
    const scores = this.lookahead.subarray(row * labels, (row + 1) * labels);
    this.scorer.fillLookaheadRow(state, scores);
    this.bestLookahead[row] = scores.reduce((one, other) => Math.max(one, other), -Infinity);
    this.states.push(state);
    this.#rows.set(key, row);
    return row;
  }

  #double() {
    for (const name of /** @type {const} */ (["lookahead", "nextRows", "bestLookahead"])) {
      const longer = new /** @type {any} */ (this[name].constructor)(2 * this[name].length);
      longer.set(this[name]);
      this[name] = longer;
    }
  }

  /**
   * The row after a label that ends no word.
   *
   * @param {number} row
   * @param {number} label
   */
  follow(row, label) {
    const at = row * this.scorer.labels + label;
    return this.nextRows[at] || (this.nextRows[at] = this.row(this.scorer.follow(this.states[row], label)));
  }

  /**
   * The effect of a label that may end words, and the row after it.
   *
   * @param {number} row
   * @param {number} label
   */
  ending(row, label) {
    const key = row * this.scorer.labels + label;
    let found = this.#endings.get(key);
    if (!found) {
      const ending = this.scorer.ending(this.states[row], label);
      this.#endings.set(key, (found = { ending, row: this.row(ending.state) }));
    }
    return found;
  }
}
