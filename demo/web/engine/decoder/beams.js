/** The surviving prefixes of a beam search as parallel arrays. */

import { hashes } from "./prefix_trie.js";

/** @typedef {import("./word_scorer.js").History} History */

const DOUBLES = /** @type {const} */ (["blank", "nonblank", "acoustic", "peak", "complete", "bonus", "logProb", "gain"]);
const INTEGERS = /** @type {const} */ ([
  "hashLow", "hashHigh", "parentHashLow", "parentHashHigh", "depth", "label", "frame", "parent", "record", "parentRow",
  "doubled", "state", "gainLabel",
]); // prettier-ignore

export class Beams {
  /** @param {number} capacity */
  constructor(capacity) {
    this.size = 0;
    // Natural logarithms: alignments that end in blank, those that end in the last label, their sum, the maximum of the
    // second so far (its frame is the label's emission frame), the score of the complete words, and that score with the
    // look-ahead of the incomplete word.
    this.blank = new Float64Array(capacity);
    this.nonblank = new Float64Array(capacity);
    this.acoustic = new Float64Array(capacity);
    this.peak = new Float64Array(capacity);
    this.complete = new Float64Array(capacity);
    this.bonus = new Float64Array(capacity);
    /** Natural-log probability of the last label in its emission frame. */
    this.logProb = new Float64Array(capacity);
    /** What the label `gainLabel` adds as the end of a word, look-ahead included; -1: no gain is known. */
    this.gain = new Float64Array(capacity);
    this.gainLabel = new Int32Array(capacity);
    this.hashLow = new Int32Array(capacity);
    this.hashHigh = new Int32Array(capacity);
    this.parentHashLow = new Int32Array(capacity);
    this.parentHashHigh = new Int32Array(capacity);
    this.depth = new Int32Array(capacity);
    this.label = new Int32Array(capacity);
    this.frame = new Int32Array(capacity);
    /** Record of the prefix one label shorter. */
    this.parent = new Int32Array(capacity);
    /** Record of this prefix as it is; -1: not in the trie. */
    this.record = new Int32Array(capacity);
    /** Beam of the prefix one label shorter; -1: not among the beams. */
    this.parentRow = new Int32Array(capacity);
    /** Whether the last two labels are the same. */
    this.doubled = new Int32Array(capacity);
    /** Row of the prefix state. */
    this.state = new Int32Array(capacity);
    /** Complete words of each prefix. @type {History[]} */
    this.histories = [];
  }

  get capacity() {
    return this.blank.length;
  }

  /**
   * Make this the empty prefix alone.
   *
   * @param {number} blank
   * @param {History} history
   */
  begin(blank, history) {
    this.size = 1;
    for (const name of DOUBLES) this[name][0] = 0;
    for (const name of INTEGERS) this[name][0] = 0;
    this.nonblank[0] = this.peak[0] = -Infinity;
    this.hashLow[0] = hashes.rootLow;
    this.hashHigh[0] = hashes.rootHigh;
    this.label[0] = blank;
    this.frame[0] = this.parent[0] = this.record[0] = this.parentRow[0] = this.gainLabel[0] = -1;
    this.histories = [history];
    return this;
  }

  /**
   * Make room, and keep the beams.
   *
   * @param {number} capacity
   */
  reserve(capacity) {
    if (capacity <= this.capacity) return;
    for (const name of DOUBLES) {
      const longer = new Float64Array(capacity);
      longer.set(this[name]);
      this[name] = longer;
    }
    for (const name of INTEGERS) {
      const longer = new Int32Array(capacity);
      longer.set(this[name]);
      this[name] = longer;
    }
  }

  copy() {
    const copied = new Beams(this.capacity);
    copied.size = this.size;
    for (const name of DOUBLES) copied[name].set(this[name].subarray(0, this.size));
    for (const name of INTEGERS) copied[name].set(this[name].subarray(0, this.size));
    copied.histories = this.histories.slice(0, this.size);
    return copied;
  }

  /** @param {number} row */
  total(row) {
    return this.acoustic[row] + this.bonus[row];
  }

  /** The row of the best beam, the first one of several. */
  best() {
    let best = 0;
    for (let row = 1; row < this.size; row++) if (this.total(row) > this.total(best)) best = row;
    return best;
  }

  /**
   * Keep only these rows, which ascend.
   *
   * @param {number[]} rows
   */
  take(rows) {
    const moved = new Int32Array(this.size).fill(-1);
    rows.forEach((row, at) => {
      moved[row] = at;
      for (const name of DOUBLES) this[name][at] = this[name][row];
      for (const name of INTEGERS) this[name][at] = this[name][row];
      this.histories[at] = this.histories[row];
    });
    this.size = this.histories.length = rows.length;
    for (let row = 0; row < this.size; row++) {
      if (this.parentRow[row] >= 0) this.parentRow[row] = moved[this.parentRow[row]];
    }
  }

  /**
   * Copy a beam to a row of other beams, whose histories are as long.
   *
   * @param {number} row
   * @param {Beams} to
   * @param {number} at
   */
  copyRow(row, to, at) {
    to.blank[at] = this.blank[row];
    to.nonblank[at] = this.nonblank[row];
    to.acoustic[at] = this.acoustic[row];
    to.peak[at] = this.peak[row];
    to.complete[at] = this.complete[row];
    to.bonus[at] = this.bonus[row];
    to.logProb[at] = this.logProb[row];
    to.gain[at] = this.gain[row];
    to.gainLabel[at] = this.gainLabel[row];
    to.hashLow[at] = this.hashLow[row];
    to.hashHigh[at] = this.hashHigh[row];
    to.parentHashLow[at] = this.parentHashLow[row];
    to.parentHashHigh[at] = this.parentHashHigh[row];
    to.depth[at] = this.depth[row];
    to.label[at] = this.label[row];
    to.frame[at] = this.frame[row];
    to.parent[at] = this.parent[row];
    to.record[at] = this.record[row];
    to.parentRow[at] = this.parentRow[row];
    to.doubled[at] = this.doubled[row];
    to.state[at] = this.state[row];
    to.histories[at] = this.histories[row];
  }
}
