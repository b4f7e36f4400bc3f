/**
 * The n-grams of one order in a KenLM trie, as a bit-packed array of entries: word, index of the back-off weight, index of
 * the log-probability, and the low bits of the index of the first child; the children end where those of the next entry
 * begin. Every field has at most 25 bits, so that it can be read as part of 32.
 */

import { languageModelError } from "../errors.js";

/** @typedef {import("./file_parts.js").Parts} Parts */

export const MAX_FIELD_BITS = 25;

/** The n-grams of one order from 2. */
export class NGrams {
  /**
   * @param {Parts} parts The file, at the beginning of these n-grams.
   * @param {number} count Number of n-grams.
   * @param {number} words Largest index of a word.
   * @param {{logProbs: Float32Array, backoffs: Float32Array | null}} weights
   * @param {number | null} children Number of n-grams of the next order; null for the longest ones.
   * @param {number} tableBits Bits by which the indices of children may be shortened with a table.
   */
  constructor(parts, count, words, weights, children, tableBits) {
    this.view = parts.view;
    this.count = count;
    this.words = words;
    this.logProbs = weights.logProbs;
    this.backoffs = weights.backoffs;
    this.wordBits = bitLength(words);
    this.backoffBits = weights.backoffs ? bitLength(weights.backoffs.length) - 1 : 0;
    this.logProbBits = bitLength(weights.logProbs.length) - 1;
    this.childBits = 0;
    /** For each value of the highest bits of a child's index, the first entry that has it. */
    this.table = new Float64Array(0);
    if (children !== null) {
      const [bits, size] = shorten(count + 1, children, tableBits);
      this.childBits = bits;
      let start = parts.take(8 * (size + 1) + 7);
      start += ((-start % 8) + 8) % 8 + 8;
      this.table = Float64Array.from({ length: size }, (_, index) => parts.uint64(start + 8 * index));
    }
    if (Math.max(this.wordBits, this.childBits) > MAX_FIELD_BITS) {
      throw languageModelError(
        `the language model has ${words} words and ${children} n-grams of one order; ` +
          `wanted at most ${2 ** MAX_FIELD_BITS} words; use a smaller one`,
      );
    }
    this.width = this.wordBits + this.backoffBits + this.logProbBits + this.childBits;
    // One entry more tells where the last children end; 8 bytes more let the last field be read as 32 bits.
    this.firstBit = 8 * parts.take(Math.floor(((1 + count) * this.width + 7) / 8) + 8);
    /** Range of the children of the entry whose weights were read last. */
    this.begin = this.end = 0;
  }

  /**
   * @param {number} bit
   * @param {number} bits
   */
  field(bit, bits) {
    return (this.view.getUint32(bit >>> 3, true) >>> (bit & 7)) & ((1 << bits) - 1);
  }

  /**
   * Find a word among the sorted entries of a range, whose words are spread evenly.
   *
   * @param {number} word
   * @param {number} begin
   * @param {number} end
   * @returns {number} The index of the entry; -1 if there is none.
   */
  find(word, begin, end) {
    let low = 0;
    let high = this.words;
    end = Math.min(end, this.count);
    while (begin < end) {
      const middle = begin + Math.floor(((word - low) * (end - begin)) / (high - low + 1));
      const found = this.field(this.firstBit + middle * this.width, this.wordBits);
      if (found === word) return middle;
      if (found < word) {
        begin = middle + 1;
        low = found + 1;
      } else {
        end = middle;
        high = found - 1;
      }
    }
    return -1;
  }

  /** @param {number} index */
  backoff(index) {
    if (this.backoffs === null) return 0;
    return this.backoffs[this.field(this.firstBit + index * this.width + this.wordBits, this.backoffBits)];
  }

  /** @param {number} index */
  logProb(index) {
    const bit = this.firstBit + index * this.width + this.wordBits + this.backoffBits;
    return this.logProbs[this.field(bit, this.logProbBits)];
  }

  /**
   * Write the range of an entry's children to `begin` and `end`.
   *
   * @param {number} index
   */
  readChildren(index) {
    const bit = this.firstBit + (index + 1) * this.width - this.childBits;
    const scale = 2 ** this.childBits;
    this.begin = this.field(bit, this.childBits) + scale * this.highBits(index);
    this.end = this.field(bit + this.width, this.childBits) + scale * this.highBits(index + 1);
  }

  /** @param {number} index */
  highBits(index) {
    const table = this.table;
    let low = 0;
    let high = table.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (index < table[middle]) high = middle;
      else low = middle + 1;
    }
    return Math.max(low - 1, 0);
  }
}

/**
 * Choose how many bits of the children's indices remain in the entries, and how large the table of the others is.
 *
 * The table has a number of 64 bits for each value of the highest bits: the least memory wins, then the least bits.
 *
 * @param {number} entries
 * @param {number} children
 * @param {number} tableBits
 */
function shorten(entries, children, tableBits) {
  const bits = bitLength(children);
  let best = 0;
  let least = Infinity;
  for (let short = 0; short <= Math.min(bits, tableBits); short++) {
    const cost = Math.floor(children / 2 ** (bits - short)) * 64 - entries * short;
    if (cost < least) {
      least = cost;
      best = short;
    }
  }
  return [bits - best, Math.floor(children / 2 ** (bits - best)) + 1];
}

/** @param {number} value */
function bitLength(value) {
  return value < 1 ? 0 : value.toString(2).length;
}
