/**
 * The label prefixes of a beam search as records that point to the prefix one label shorter, without scores.
 *
 * A prefix is identified by a hash of its labels in two numbers of 32 bits, so two records for the same labels (made at
 * different times, or with different emission frames) are recognised as one prefix without a table of children.
 */

const COLUMNS = /** @type {const} */ (["hashLow", "hashHigh", "depth", "label", "frame", "parent"]);

export class Trie {
  /** @param {number} capacity */
  constructor(capacity = 1024) {
    this.size = 0;
    /** Hash of all labels since the beginning of the utterance. */
    this.hashLow = new Int32Array(capacity);
    this.hashHigh = new Int32Array(capacity);
    /** Number of labels, the last of them, and its emission frame. */
    this.depth = new Int32Array(capacity);
    this.label = new Int32Array(capacity);
    this.frame = new Int32Array(capacity);
    /** Record of the prefix without the last label; -1: none, or committed. */
    this.parent = new Int32Array(capacity);
    /** Natural-log probability of the last label in its emission frame. */
    this.logProb = new Float64Array(capacity);
  }

  /** A copy that can grow without changing this one. */
  copy() {
    const copied = new Trie(2 * this.size + 1024);
    copied.size = this.size;
    for (const name of COLUMNS) copied[name].set(this[name].subarray(0, this.size));
    copied.logProb.set(this.logProb.subarray(0, this.size));
    return copied;
  }

  /**
   * Append the last record of a beam, and return its index.
   *
   * @param {import("./beams.js").Beams} beams
   * @param {number} row
   */
  add(beams, row) {
    const at = this.size++;
    if (at === this.depth.length) this.#grow();
    this.hashLow[at] = beams.hashLow[row];
    this.hashHigh[at] = beams.hashHigh[row];
    this.depth[at] = beams.depth[row];
    this.label[at] = beams.label[row];
    this.frame[at] = beams.frame[row];
    this.parent[at] = beams.parent[row];
    this.logProb[at] = beams.logProb[row];
    return at;
  }

  #grow() {
    const size = this.size;
    for (const name of COLUMNS) {
      const longer = new Int32Array(2 * size);
      longer.set(this[name]);
      this[name] = longer;
    }
    const longer = new Float64Array(2 * size);
    longer.set(this.logProb);
    this.logProb = longer;
  }

  /**
   * Keep the ancestors of the beams' last labels that are deeper than a number of labels, and renumber the beams'.
   *
   * @param {import("./beams.js").Beams} beams
   * @param {number} depth
   */
  compact(beams, depth) {
    const moved = new Int32Array(this.size).fill(-1);
    for (let row = 0; row < beams.size; row++) {
      this.#mark(beams.parent[row], depth, moved);
      this.#mark(beams.record[row], depth, moved);
    }
    let kept = 0;
    for (let at = 0; at < this.size; at++) {
      if (moved[at] < 0) continue;
      this.hashLow[kept] = this.hashLow[at];
      this.hashHigh[kept] = this.hashHigh[at];
      this.depth[kept] = this.depth[at];
      this.label[kept] = this.label[at];
      this.frame[kept] = this.frame[at];
      this.logProb[kept] = this.logProb[at];
      this.parent[kept] = this.parent[at] < 0 ? -1 : moved[this.parent[at]];
      moved[at] = kept++;
    }
    this.size = kept;
    for (let row = 0; row < beams.size; row++) {
      if (beams.parent[row] >= 0) beams.parent[row] = moved[beams.parent[row]];
      if (beams.record[row] >= 0) beams.record[row] = moved[beams.record[row]];
    }
  }

  /**
   * @param {number} at
   * @param {number} depth
   * @param {Int32Array} moved
   */
  #mark(at, depth, moved) {
    while (at >= 0 && moved[at] < 0 && this.depth[at] > depth) {
      moved[at] = 0;
      at = this.parent[at];
    }
  }
}

const ROOT_LOW = 0x7f4a7c15 | 0;
const ROOT_HIGH = 0x1e3779b9;

/** The hash of the empty prefix, and those of prefixes that are one label longer. */
export const hashes = {
  rootLow: ROOT_LOW,
  rootHigh: ROOT_HIGH,
  /**
   * @param {number} low
   * @param {number} high
   * @param {number} label
   */
  low: (low, high, label) => mix((low ^ Math.imul(label + 1, 0x9e3779b1)) + Math.imul(high, 0x85ebca77), 0x56e8feb9),
  /**
   * @param {number} low
   * @param {number} high
   * @param {number} label
   */
  high: (low, high, label) => mix((high ^ Math.imul(label + 1, 0xc2b2ae3d)) + Math.imul(low, 0x27d4eb2f), 0x6659fd93),
};

/**
 * @param {number} value
 * @param {number} factor
 */
function mix(value, factor) {
  value = Math.imul(value ^ (value >>> 15), factor);
  value = Math.imul(value ^ (value >>> 13), 0x2c1b3c6d);
  return value ^ (value >>> 16);
}
