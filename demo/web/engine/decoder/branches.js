/** The records of a trie and those of the beams behind them, as a tree that is walked from its leaves. */

import { Agreement, appendLabel, NO_WORD } from "./word_times.js";

/**
 * @typedef {import("./beams.js").Beams} Beams
 * @typedef {import("./prefix_trie.js").Trie} Trie
 * @typedef {import("./word_times.js").Span} Span
 */

/** A column below `leaves` is a record of the trie, and `leaves + row` is that of a beam. */
export class Branches {
  #trie;
  #beams;

  /**
   * @param {Trie} trie
   * @param {Beams} beams
   * @param {number} base Number of committed labels.
   */
  constructor(trie, beams, base) {
    this.#trie = trie;
    this.#beams = beams;
    this.base = base;
    this.leaves = trie.size;
  }

  /**
   * @param {"depth" | "label" | "frame" | "parent" | "logProb" | "hashLow" | "hashHigh"} name
   * @param {number} column
   */
  value(name, column) {
    return column < this.leaves ? this.#trie[name][column] : this.#beams[name][column - this.leaves];
  }

  /**
   * The columns from the first label that is not committed to the last one of a beam.
   *
   * @param {number} row
   */
  path(row) {
    const columns = [];
    for (let at = this.leaves + row; at >= 0 && this.value("depth", at) > this.base; at = this.value("parent", at)) {
      columns.push(at);
    }
    return columns.reverse();
  }

  /**
   * @param {number} one
   * @param {number} other
   */
  #same(one, other) {
    return (
      this.value("hashLow", one) === this.value("hashLow", other) &&
      this.value("hashHigh", one) === this.value("hashHigh", other)
    );
  }

  /**
   * How many labels of a beam's path all beams share.
   *
   * @param {number[]} path
   */
  shared(path) {
    let shared = path.length;
    const seen = new Uint8Array(this.leaves);
    for (let row = 0; row < this.#beams.size; row++) {
      let at = this.leaves + row;
      while (true) {
        const length = this.value("depth", at) - this.base;
        if (length <= 0) return 0;
        if (length <= path.length && this.#same(path[length - 1], at)) {
          shared = Math.min(shared, length);
          break;
        }
        at = this.value("parent", at);
        if (at < 0) return 0;
        if (seen[at]) break;
        seen[at] = 1;
      }
    }
    return shared;
  }

  /**
   * The rows of the beams whose prefix begins with that of a record.
   *
   * @param {number} column
   */
  descendants(column) {
    const depth = this.value("depth", column);
    const verdicts = new Int8Array(this.leaves); // 1: yes, -1: no
    const rows = [];
    for (let row = 0; row < this.#beams.size; row++) {
      const walked = [];
      let at = this.leaves + row;
      let verdict = 0;
      while (!verdict) {
        if (this.value("depth", at) <= depth) {
          verdict = this.#same(at, column) ? 1 : -1;
        } else {
          at = this.value("parent", at);
          if (at < 0) verdict = -1;
          else {
            walked.push(at);
            verdict = verdicts[at];
          }
        }
      }
      for (const one of walked) verdicts[one] = verdict;
      if (verdict > 0) rows.push(row);
    }
    return rows;
  }

  /**
   * Add up the words of all beams by their probabilities, visiting each record once.
   *
   * @param {Float64Array} posteriors [beams]
   * @param {readonly (readonly string[])[]} wordPieces Labels, divided where words end.
   * @param {Span} begin Committed part of an incomplete word.
   */
  agreement(posteriors, wordPieces, begin) {
    const agreement = new Agreement();
    const size = this.leaves + posteriors.length;
    const masses = new Float64Array(size);
    masses.set(posteriors, this.leaves);
    for (let column = size - 1; column >= 0; column--) {
      const parent = this.value("parent", column);
      if (parent >= 0) masses[parent] += masses[column];
    }
    /** @type {Span[]} */
    const words = new Array(size).fill(begin);
    for (let column = 0; column < size; column++) {
      if (!masses[column] || this.value("depth", column) <= this.base) continue;
      const parent = this.value("parent", column);
      /** @type {Span[]} */
      const ended = [];
      const before = parent >= 0 ? words[parent] : begin;
      words[column] = appendLabel(before, wordPieces[this.value("label", column)], this.value("frame", column), 0, ended);
      for (const span of ended) agreement.add(span, masses[column]);
    }
    for (let leaf = this.leaves; leaf < size; leaf++) if (words[leaf].word) agreement.add(words[leaf], masses[leaf]);
    return agreement;
  }
}

/**
 * Normalise natural-log scores to probabilities that sum to 1.
 *
 * @param {Float64Array} totals
 */
export function posteriors(totals) {
  const best = totals.reduce((one, other) => Math.max(one, other), -Infinity);
  const weights = totals.map((total) => Math.exp(total - best));
  const sum = weights.reduce((one, other) => one + other, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * The words of labels with their frames and log-probabilities; the last word may be incomplete.
 *
 * @param {Iterable<[readonly string[], number, number]>} labels Each divided where words end.
 */
export function splitWords(labels) {
  /** @type {Span[]} */
  const spans = [];
  let last = NO_WORD;
  for (const [pieces, frame, logProb] of labels) last = appendLabel(last, pieces, frame, logProb, spans);
  if (last.word) spans.push(last);
  return spans;
}
