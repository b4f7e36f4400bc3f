/**
 * One frame of CTC prefix beam search.
 *
 * A prefix of the next frame either stays (blank, or its last label continues) or is an extension of a shorter one. Only
 * a prefix that stays can equal an extension, and that is then an extension of its parent. Merging is therefore exact if
 * each beam knows the row of its parent, also of a parent that was dropped and has returned.
 *
 * Sources: A. Hannun et al. 2014 (First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
 * Recurrent DNNs), algorithm 1; D. Amodei et al. 2015 (Deep Speech 2), sections 3.8 and 7.
 */

import { Beams } from "./beams.js";
import { logAdd } from "./log_add.js";
import { hashes } from "./prefix_trie.js";
import { Ranking } from "./ranking.js";

/** @typedef {import("./prefix_states.js").PrefixStates} PrefixStates */
/** @typedef {import("./prefix_trie.js").Trie} Trie */

/** @typedef {{row: Float64Array, symbols: Int32Array, count: number, number: number}} Frame */

const LOWEST = -Number.MAX_VALUE;

export class FrameSearch {
  #scorer;
  #blank;
  #labelScores;
  #ranking;
  #columnOf;
  #merged = new Uint8Array(0); // [beams, symbols], extensions that are beams already
  #newRows = new Int32Array(0); // of the beams that stay; -1 for those dropped
  #hashTable = new Int32Array(16);
  #next = new Beams(1);
  // Of the beams that stay:
  #blanks = new Float64Array(0);
  #nonblanks = new Float64Array(0);
  #acoustics = new Float64Array(0);
  #renewed = new Uint8Array(0); // whether the last label is emitted in this frame, after the parent
  // Of the extensions:
  #count = 0;
  #rows = new Int32Array(0);
  #labels = new Int32Array(0);
  #longerAcoustics = new Float64Array(0);
  #longerBonuses = new Float64Array(0);

  /**
   * @param {import("./word_scorer.js").WordScorer} scorer
   * @param {number} blank
   * @param {number} beamWidth Number of prefixes kept.
   * @param {Float64Array | null} labelScores [labels], natural log added for each label of a prefix, none above 0.
   */
  constructor(scorer, blank, beamWidth, labelScores) {
    this.#scorer = scorer;
    this.#blank = blank;
    this.#labelScores = labelScores;
    this.#ranking = new Ranking(beamWidth);
    this.#columnOf = new Int32Array(scorer.labels);
  }

  begin() {
    return new Beams(1).begin(this.#blank, this.#scorer.begin());
  }

  /**
   * Advance the beams by one frame, and add the records of the prefixes that are extended to the trie.
   *
   * @param {Frame} frame
   * @param {Beams} beams Overwritten later.
   * @param {Trie} trie
   * @param {PrefixStates} states
   * @param {number} threshold Prefixes that score further below the best are dropped.
   * @returns {Beams} The beams of the next frame.
   */
  advance(frame, beams, trie, states, threshold) {
    const ranking = this.#ranking;
    this.#reserve(beams.size, frame.count);
    ranking.begin(threshold);
    this.#count = 0;
    this.#stay(frame, beams);
    let floor = -Infinity; // all beams stay if there is only the blank
    if (frame.count) {
      floor = ranking.floor(LOWEST);
      this.#extend(frame, beams, states, floor);
      floor = this.#endWords(beams, states, floor);
      floor = ranking.floor(floor);
    }
    const kept = ranking.choose(floor, beams.size, this.#newRows);
    const next = this.#next;
    next.reserve(Math.max(1, ranking.chosen));
    next.histories.length = 0;
    next.size = 0;
    this.#record(beams, trie);
    for (let row = 0; row < beams.size; row++) if (this.#newRows[row] >= 0) this.#keep(frame, row, beams);
    for (let at = 0; at < this.#count; at++) {
      if (ranking.taken(beams.size + at)) this.#lengthen(frame, at, beams, states);
    }
    for (let row = 0; row < next.size; row++) {
      if (next.parentRow[row] >= 0) next.parentRow[row] = this.#newRows[next.parentRow[row]];
    }
    if (next.size > kept) this.#findParents(next, kept);
    this.#next = beams;
    return next;
  }

  /**
   * @param {number} beams
   * @param {number} symbols
   */
  #reserve(beams, symbols) {
    const total = beams * (1 + symbols);
    if (this.#blanks.length < beams) {
      const size = 2 * beams;
      this.#blanks = new Float64Array(size);
      this.#nonblanks = new Float64Array(size);
      this.#acoustics = new Float64Array(size);
      this.#renewed = new Uint8Array(size);
      this.#newRows = new Int32Array(size);
    }
    if (this.#merged.length < total) {
      const size = 2 * total;
      this.#merged = new Uint8Array(size);
      this.#rows = new Int32Array(size);
      this.#labels = new Int32Array(size);
      this.#longerAcoustics = new Float64Array(size);
      this.#longerBonuses = new Float64Array(size);
      this.#ranking.reserve(size);
    }
  }

  /**
   * Continue each prefix with blank or its last label, and merge the extension of its parent that equals it.
   *
   * @param {Frame} frame
   * @param {Beams} beams
   */
  #stay({ row: logProbs }, beams) {
    const { blank, nonblank, acoustic, peak, bonus, label, parentRow, doubled } = beams;
    const ranking = this.#ranking;
    const blankLogProb = logProbs[this.#blank];
    for (let row = 0; row < beams.size; row++) {
      const logProb = logProbs[label[row]];
      const parent = parentRow[row];
      const arriving = parent < 0 ? -Infinity : (doubled[row] ? blank[parent] : acoustic[parent]) + logProb;
      const repeated = nonblank[row] + logProb;
      const blanks = acoustic[row] + blankLogProb;
      const nonblanks = logAdd(repeated, arriving);
      const sum = logAdd(blanks, nonblanks);
      this.#blanks[row] = blanks;
      this.#nonblanks[row] = nonblanks;
      this.#acoustics[row] = sum;
      this.#renewed[row] = arriving > repeated && nonblanks > peak[row] ? 1 : 0;
      ranking.add(sum + bonus[row]);
    }
  }

  /**
   * Find the extensions that may reach the floor, except those that `#stay` has merged.
   *
   * @param {Frame} frame
   * @param {Beams} beams
   * @param {PrefixStates} states
   * @param {number} floor
   */
  #extend({ row: logProbs, symbols, count: width }, beams, states, floor) {
    const { size, blank, acoustic, complete, label, parentRow, state } = beams;
    const { lookahead, bestLookahead } = states;
    const merged = this.#merged.fill(0, 0, size * width);
    const columnOf = this.#columnOf.fill(-1);
    const endsWords = this.#scorer.endsWords;
    const labels = this.#scorer.labels;
    const labelScores = this.#labelScores;
    const ranking = this.#ranking;
    let likeliest = -Infinity;
    for (let column = 0; column < width; column++) {
      columnOf[symbols[column]] = column;
      likeliest = Math.max(likeliest, logProbs[symbols[column]]);
    }
    for (let row = 0; row < size; row++) {
      const column = columnOf[label[row]];
      if (column >= 0 && parentRow[row] >= 0) merged[parentRow[row] * width + column] = 1;
    }
    for (let row = 0; row < size; row++) {
      // Rounding keeps the order of numbers, so no extension of this prefix scores higher.
      if (acoustic[row] + likeliest + (bestLookahead[state[row]] + complete[row]) < floor) continue;
      const scores = state[row] * labels;
      for (let column = 0; column < width; column++) {
        if (merged[row * width + column]) continue;
        const symbol = symbols[column];
        const longer = (symbol === label[row] ? blank[row] : acoustic[row]) + logProbs[symbol];
        let bonus = lookahead[scores + symbol] + complete[row];
        if (labelScores !== null) bonus += labelScores[symbol];
        const total = longer + bonus;
        if (!(total >= floor)) continue;
        const at = this.#count++;
        this.#rows[at] = row;
        this.#labels[at] = symbol;
        this.#longerAcoustics[at] = longer;
        this.#longerBonuses[at] = bonus;
        if (endsWords[symbol]) ranking.addBound(total);
        else ranking.add(total);
      }
    }
  }

  /**
   * Replace the upper bounds of extensions that may end words by exact scores, where the bound can survive.
   *
   * @param {Beams} beams
   * @param {PrefixStates} states
   * @param {number} floor
   * @returns {number} The floor, which may be higher.
   */
  #endWords(beams, states, floor) {
    const ranking = this.#ranking;
    if (!ranking.bounds) return floor;
    floor = ranking.floor(floor);
    for (let at = 0; at < this.#count; at++) {
      const label = this.#labels[at];
      if (!this.#scorer.endsWords[label]) continue;
      if (ranking.bound(beams.size + at) < floor) continue;
      const row = this.#rows[at];
      if (beams.gainLabel[row] !== label) {
        beams.gain[row] = this.#scorer.gain(beams.histories[row], states.ending(beams.state[row], label).ending);
        beams.gainLabel[row] = label;
      }
      let bonus = beams.complete[row] + beams.gain[row];
      if (this.#labelScores !== null) bonus += this.#labelScores[label];
      this.#longerBonuses[at] = bonus;
      ranking.resolve(beams.size + at, this.#longerAcoustics[at] + bonus);
    }
    return floor;
  }

  /**
   * Add the beams to the trie, as they are, to which prefixes of the next frame will point.
   *
   * @param {Beams} beams
   * @param {Trie} trie
   */
  #record(beams, trie) {
    const { record, parentRow } = beams;
    for (let at = 0; at < this.#count; at++) {
      const row = this.#rows[at];
      if (record[row] < 0 && this.#ranking.taken(beams.size + at)) record[row] = trie.add(beams, row);
    }
    for (let row = 0; row < beams.size; row++) {
      if (!this.#renewed[row] || this.#newRows[row] < 0) continue;
      const parent = parentRow[row];
      if (record[parent] < 0) record[parent] = trie.add(beams, parent);
    }
  }

  /**
   * @param {Frame} frame
   * @param {number} row
   * @param {Beams} beams
   */
  #keep(frame, row, beams) {
    const next = this.#next;
    const at = next.size++;
    beams.copyRow(row, next, at);
    next.blank[at] = this.#blanks[row];
    next.nonblank[at] = this.#nonblanks[row];
    next.acoustic[at] = this.#acoustics[row];
    if (!(this.#nonblanks[row] > beams.peak[row])) return;
    next.peak[at] = this.#nonblanks[row];
    next.frame[at] = frame.number;
    next.logProb[at] = frame.row[beams.label[row]];
    next.record[at] = -1;
    if (this.#renewed[row]) next.parent[at] = beams.record[beams.parentRow[row]];
  }

  /**
   * Add an extension as a new beam, whose parent row is that of the frame before.
   *
   * @param {Frame} frame
   * @param {number} extension
   * @param {Beams} beams
   * @param {PrefixStates} states
   */
  #lengthen(frame, extension, beams, states) {
    const next = this.#next;
    const row = this.#rows[extension];
    const label = this.#labels[extension];
    const at = next.size++;
    const { hashLow, hashHigh } = beams;
    next.blank[at] = -Infinity;
    next.nonblank[at] = next.acoustic[at] = next.peak[at] = this.#longerAcoustics[extension];
    next.bonus[at] = this.#longerBonuses[extension];
    next.complete[at] = beams.complete[row] + (this.#labelScores === null ? 0 : this.#labelScores[label]);
    next.parentHashLow[at] = hashLow[row];
    next.parentHashHigh[at] = hashHigh[row];
    next.hashLow[at] = hashes.low(hashLow[row], hashHigh[row], label);
    next.hashHigh[at] = hashes.high(hashLow[row], hashHigh[row], label);
    next.logProb[at] = frame.row[label];
    next.gainLabel[at] = -1;
    next.depth[at] = beams.depth[row] + 1;
    next.doubled[at] = beams.label[row] === label ? 1 : 0;
    next.label[at] = label;
    next.frame[at] = frame.number;
    next.parent[at] = beams.record[row];
    next.record[at] = -1;
    next.parentRow[at] = row;
    const before = beams.histories[row];
    if (this.#scorer.endsWords[label]) {
      const { ending, row: state } = states.ending(beams.state[row], label);
      const after = this.#scorer.endWords(before, ending);
      next.complete[at] += after.score - before.score;
      next.state[at] = state;
      next.histories[at] = after;
    } else {
      next.state[at] = states.follow(beams.state[row], label);
      next.histories[at] = before;
    }
  }

  /**
   * Find the parents that had been dropped and have returned, among the new beams from `kept` on.
   *
   * @param {Beams} beams
   * @param {number} kept
   */
  #findParents(beams, kept) {
    const { size, hashLow, hashHigh, parentHashLow, parentHashHigh, parentRow } = beams;
    if (!parentRow.subarray(0, kept).includes(-1)) return;
    while (this.#hashTable.length < 4 * (size - kept)) this.#hashTable = new Int32Array(2 * this.#hashTable.length);
    const table = this.#hashTable.fill(-1);
    const mask = table.length - 1;
    for (let row = kept; row < size; row++) {
      let slot = hashLow[row] & mask;
      while (table[slot] >= 0) slot = (slot + 1) & mask;
      table[slot] = row;
    }
    for (let orphan = 0; orphan < kept; orphan++) {
      if (parentRow[orphan] >= 0) continue;
      for (let slot = parentHashLow[orphan] & mask; table[slot] >= 0; slot = (slot + 1) & mask) {
        const row = table[slot];
        if (hashLow[row] === parentHashLow[orphan] && hashHigh[row] === parentHashHigh[orphan]) {
          parentRow[orphan] = row;
          break;
        }
      }
    }
  }
}
