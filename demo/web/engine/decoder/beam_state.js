/** The state of a search between two frames: its text so far, and the commitment of labels that keeps it small. */

import { Beams } from "./beams.js";
import { Branches, posteriors, splitWords } from "./branches.js";
import { Trie } from "./prefix_trie.js";
import { appendLabel, NO_WORD } from "./word_times.js";

/**
 * @typedef {import("./word_times.js").Span} Span
 * @typedef {import("./prefix_states.js").PrefixStates} PrefixStates
 *
 * What no later frame can change; never changed in place. For each label its emission frame and its natural-log
 * probability there, for each complete word the probability of the beams that agreed on it, and the committed part of
 * an incomplete word.
 *
 * @typedef {{labels: number[], frames: number[], logProbs: number[], text: string, masses: number[], begin: Span}} Committed
 */

const MIN_COMMIT_LABELS = 32; // committing fewer would cost more than it saves

/** A search between two frames; callers never change one that they hold. */
export class BeamState {
  /**
   * @param {Beams} beams
   * @param {PrefixStates} states
   */
  constructor(beams, states) {
    this.frame = 0; // number of frames processed
    this.beams = beams;
    this.states = states;
    this.trie = new Trie(0); // the labels of the beams that are not committed
    /** @type {Committed} */
    this.committed = { labels: [], frames: [], logProbs: [], text: "", masses: [], begin: NO_WORD };
  }

  /** A copy that can be changed without changing this one. */
  copy() {
    const copied = new BeamState(this.beams.copy(), this.states);
    copied.frame = this.frame;
    copied.trie = this.trie.copy();
    copied.committed = this.committed;
    return copied;
  }

  /** The labels that are not committed, as a tree. */
  branches() {
    return new Branches(this.trie, this.beams, this.committed.labels.length);
  }

  /**
   * The text so far.
   *
   * @param {readonly string[]} labels
   */
  partial(labels) {
    const branches = this.branches();
    const path = branches.path(this.beams.best());
    const shared = branches.shared(path);
    const committed = this.committed.text + spell(labels, branches, path.slice(0, shared));
    const tentative = spell(labels, branches, path.slice(shared));
    return { text: committed + tentative, committed, tentative };
  }

  /**
   * Split all labels of a beam into words.
   *
   * @param {Branches} branches
   * @param {number} row
   * @param {readonly (readonly string[])[]} wordPieces Labels, divided where words end.
   */
  spans(branches, row, wordPieces) {
    const settled = this.committed;
    /** @type {[readonly string[], number, number][]} */
    const all = settled.labels.map((label, at) => [wordPieces[label], settled.frames[at], settled.logProbs[at]]);
    for (const column of branches.path(row)) {
      all.push([
        wordPieces[branches.value("label", column)],
        branches.value("frame", column),
        branches.value("logProb", column),
      ]);
    }
    return splitWords(all);
  }

  /** Drop the records that no beam needs. */
  compact() {
    this.trie.compact(this.beams, this.committed.labels.length);
  }

  /**
   * Commit the labels that all prefixes share once there are enough of them.
   *
   * Alternatives that score nearly the same can survive for ever and keep old labels tentative. Once the best prefix has
   * more than `maxTentative` labels after the shared ones, the older half is therefore decided in its favour: later
   * frames add the same to both sides and will not reverse the decision.
   *
   * @param {readonly string[]} labels
   * @param {readonly (readonly string[])[]} wordPieces Labels, divided where words end.
   * @param {number} maxTentative
   */
  commit(labels, wordPieces, maxTentative) {
    const branches = this.branches();
    const path = branches.path(this.beams.best());
    let shared = branches.shared(path);
    if (path.length - shared > maxTentative) shared = path.length - Math.floor(maxTentative / 2);
    if (shared >= MIN_COMMIT_LABELS) this.#commit(branches, path.slice(0, shared), labels, wordPieces);
  }

  /**
   * Commit the labels of these columns, and drop the beams that have others.
   *
   * @param {Branches} branches
   * @param {number[]} settled
   * @param {readonly string[]} labels
   * @param {readonly (readonly string[])[]} wordPieces
   */
  #commit(branches, settled, labels, wordPieces) {
    const { beams, committed } = this;
    const totals = Float64Array.from({ length: beams.size }, (_, row) => beams.total(row));
    const agreement = branches.agreement(posteriors(totals), wordPieces, committed.begin);
    /** @type {Span[]} */
    const words = [];
    let { begin } = committed;
    for (const column of settled) {
      const pieces = wordPieces[branches.value("label", column)];
      begin = appendLabel(begin, pieces, branches.value("frame", column), branches.value("logProb", column), words);
    }
    this.committed = {
      labels: [...committed.labels, ...settled.map((column) => branches.value("label", column))],
      frames: [...committed.frames, ...settled.map((column) => branches.value("frame", column))],
      logProbs: [...committed.logProbs, ...settled.map((column) => branches.value("logProb", column))],
      text: committed.text + spell(labels, branches, settled),
      masses: [...committed.masses, ...words.map((word) => agreement.mass(word))],
      begin,
    };
    const survivors = branches.descendants(settled[settled.length - 1]);
    if (survivors.length < beams.size) beams.take(survivors);
  }
}

/**
 * @param {readonly string[]} labels
 * @param {Branches} branches
 * @param {number[]} columns
 */
function spell(labels, branches, columns) {
  return columns.map((column) => labels[branches.value("label", column)]).join("");
}
