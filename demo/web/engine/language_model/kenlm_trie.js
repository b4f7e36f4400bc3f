/**
 * The n-grams of a KenLM binary of the kind trie, quantized and with compressed pointers, as `build_binary -q -b -a
 * trie` writes it.
 *
 * An n-gram is found from its last word backwards: the children of a word are the words before it.
 */

import { languageModelError } from "../errors.js";
import { damaged, Parts } from "./file_parts.js";
import { MAX_FIELD_BITS, NGrams } from "./ngrams.js";

const MAGIC = "mmap lm http://kheafield.com/code format version 5\n";
const TEST_VALUES = 88; // bytes, with the magic at the beginning
const KINDS = ["probing hash table", "probing hash table with rest costs"];
const TRIE = 2;
const TRIE_KINDS = ["trie, not quantized", "trie, quantized", "trie, not quantized, with compressed pointers"];
const QUANTIZED_AND_COMPRESSED = 3;
const TRIE_VERSION = 1;
const QUANTIZED_VERSION = 2;
const COMPRESSED_VERSION = 0;
const UNIGRAM_BYTES = 16; // float32 log-probability and back-off weight, uint64 index of the first child
const MAX_BYTES = 2 ** 29; // positions of bits are numbers of 32 bits
const BUILD = "build it with KenLM's build_binary -q 8 -b 8 -a 22 trie";

/** A KenLM binary. A damaged file is never read beyond its end. */
export class KenlmTrie {
  /**
   * @param {Uint8Array} bytes The file, which is kept.
   * @throws {EdgespeechError} The file is damaged, or of another kind.
   */
  constructor(bytes) {
    if (bytes.length > MAX_BYTES) {
      throw languageModelError(`the language model has ${bytes.length} bytes; wanted at most ${MAX_BYTES}; use a smaller one`);
    }
    const parts = new Parts(bytes);
    const { counts, storesWords } = readHeader(parts);
    /** The n of n-gram. */
    this.order = counts.length;
    const start = parts.take(8 + 8 * counts[0]);
    const words = parts.uint64(start);
    if (!(words >= 1 && words <= counts[0])) throw damaged(`has ${words} words among ${counts[0]} 1-grams`);
    const weights = readWeights(parts, this.order);
    this.unigrams = parts.take(UNIGRAM_BYTES * (counts[0] + 2));
    let tableBits = 0;
    if (this.order > 2) {
      const at = parts.take(2);
      parts.at = at; // these bytes belong to the n-grams
      if (bytes[at] !== COMPRESSED_VERSION) {
        throw damaged(`compresses pointers by version ${bytes[at]}, wanted ${COMPRESSED_VERSION}`);
      }
      tableBits = bytes[at + 1];
    }
    /** The n-grams of order 2 and more. */
    this.longer = weights.map(
      (one, order) => new NGrams(parts, counts[order + 1], counts[0], one, counts[order + 2] ?? null, tableBits),
    );
    /** Text of each word, by its index; that of index 0 is `<unk>`. */
    this.words = readWords(parts, storesWords, words + 1);
    this.view = parts.view;
    checkUnigrams(parts, this.unigrams, words + 1, counts[1]);
  }

  /** @param {number} word */
  unigramLogProb(word) {
    return this.view.getFloat32(this.unigrams + UNIGRAM_BYTES * word, true);
  }

  /** @param {number} word */
  unigramBackoff(word) {
    return this.view.getFloat32(this.unigrams + UNIGRAM_BYTES * word + 4, true);
  }

  /**
   * Index of the first child of a word among the 2-grams; those of the next word begin where its own end.
   *
   * @param {number} word
   */
  firstChild(word) {
    return this.view.getUint32(this.unigrams + UNIGRAM_BYTES * word + 8, true);
  }
}

/** @param {Parts} parts */
function readHeader(parts) {
  const start = parts.take(TEST_VALUES);
  const { view, bytes } = parts;
  const same =
    [...MAGIC].every((letter, index) => bytes[start + index] === letter.charCodeAt(0)) &&
    view.getFloat32(56, true) === 0 &&
    view.getFloat32(60, true) === 1 &&
    view.getFloat32(64, true) === -0.5 &&
    view.getUint32(68, true) === 1 &&
    view.getUint32(72, true) === 2 ** 32 - 1 &&
    view.getUint32(76, true) === 0 &&
    parts.uint64(80) === 1;
  if (!same) throw damaged("does not begin like a KenLM binary of format version 5");
  const at = parts.take(20);
  const order = bytes[at];
  const kind = view.getUint32(at + 8, true);
  const version = view.getUint32(at + 16, true);
  const variant = kind - TRIE;
  if (kind > TRIE + QUANTIZED_AND_COMPRESSED) throw damaged(`is a KenLM binary of the unknown kind ${kind}`);
  if (variant !== QUANTIZED_AND_COMPRESSED) {
    throw languageModelError(
      `the language model is a KenLM binary of the kind ${KINDS[kind] ?? TRIE_KINDS[variant]}; ` +
        `wanted a trie, quantized and with compressed pointers; ${BUILD}`,
    );
  }
  if (order < 2 || version !== TRIE_VERSION) {
    throw damaged(`has order ${order} and version ${version}; wanted order 2 or more and ${TRIE_VERSION}`);
  }
  const first = parts.take(8 * order);
  const counts = Array.from({ length: order }, (_, index) => parts.uint64(first + 8 * index));
  parts.take((8 - (parts.at % 8)) % 8);
  return { counts, storesWords: bytes[at + 12] !== 0 };
}

/**
 * Read the tables of weights for n-grams of order 2 and more.
 *
 * @param {Parts} parts
 * @param {number} order
 */
function readWeights(parts, order) {
  const [version, logProbBits, backoffBits] = parts.bytes.subarray(parts.take(8));
  if (version !== QUANTIZED_VERSION || !(isWidth(logProbBits) && isWidth(backoffBits))) {
    throw damaged(`has ${logProbBits} and ${backoffBits} bits per weight, version ${version}`);
  }
  const weights = [];
  for (let length = 2; length <= order; length++) {
    const logProbs = readFloats(parts, logProbBits);
    weights.push({ logProbs, backoffs: length < order ? readFloats(parts, backoffBits) : null });
  }
  return weights;
}

/**
 * @param {Parts} parts
 * @param {number} bits
 */
function readFloats(parts, bits) {
  const start = parts.take(4 * 2 ** bits);
  return Float32Array.from({ length: 2 ** bits }, (_, index) => parts.view.getFloat32(start + 4 * index, true));
}

/**
 * @param {Parts} parts At the end of the n-grams.
 * @param {boolean} stored
 * @param {number} count
 */
function readWords(parts, stored, count) {
  if (!stored) {
    throw languageModelError("the language model does not contain its words; build it from its ARPA file without -i");
  }
  let words;
  try {
    words = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(parts.bytes.subarray(parts.at)).split("\0");
  } catch {
    throw damaged("has words that are not UTF-8");
  }
  // One empty piece follows the last terminator.
  if (words.pop() !== "" || words.length !== count || words[0] !== "<unk>") {
    throw damaged("does not have its words where its n-grams end");
  }
  return words;
}

/**
 * @param {Parts} parts
 * @param {number} start
 * @param {number} words
 * @param {number} bigrams
 */
function checkUnigrams(parts, start, words, bigrams) {
  let before = 0;
  for (let word = 0; word <= words; word++) {
    const at = start + UNIGRAM_BYTES * word;
    const child = parts.uint64(at + 8);
    if (word < words && !(parts.view.getFloat32(at, true) <= 0 && Number.isFinite(parts.view.getFloat32(at + 4, true)))) {
      throw damaged("has 1-grams without valid scores");
    }
    if (child < before || child > bigrams) throw damaged("has 1-grams without valid children");
    before = child;
  }
}

/** @param {number} bits */
const isWidth = (bits) => bits >= 1 && bits <= MAX_FIELD_BITS;
