/** An n-gram language model over words in a KenLM binary, with the scores of KenLM. */

import { KenlmTrie } from "./kenlm_trie.js";
import { Vocabulary } from "./vocabulary.js";

export const UNKNOWN = 0; // index of <unk>
const LN10 = Math.log(10);
// A model without <unk> gives 10 ** -100 to unknown words. One in ten million leaves them possible.
const MISSING_UNKNOWN = -99;
const UNKNOWN_LOG10 = -7;

/**
 * The last words that can still influence a score, latest first, and their back-off weights.
 *
 * @typedef {{words: number[], backoffs: number[]}} LmState
 */

export class LanguageModel {
  #trie;
  /** @type {number[]} */
  #backoffs = []; // of the n-grams that the last call of `log10` found
  #kept = 0; // how many words the next state needs

  /**
   * @param {ArrayBuffer | Uint8Array} file A KenLM trie, quantized and with compressed pointers, of order 2 or more.
   * @throws {EdgespeechError} The file is damaged, or of another kind.
   */
  constructor(file) {
    this.#trie = new KenlmTrie(file instanceof Uint8Array ? file : new Uint8Array(file));
    /** The n of n-gram. */
    this.order = this.#trie.order;
    const words = this.#trie.words;
    const numbers = new Map(words.map((word, index) => [word, index]));
    const begin = numbers.get("<s>");
    this.endOfSentence = numbers.get("</s>") ?? UNKNOWN;
    /** The known words, for checks of beginnings. */
    this.vocabulary = new Vocabulary(words);
    /** Index in the model of each word of the vocabulary. */
    this.indices = Int32Array.from(this.vocabulary.words, (word) => numbers.get(word) ?? UNKNOWN);
    /** @type {LmState} */
    this.nothing = { words: [], backoffs: [] };
    /** @type {LmState} The state after `<s>`. */
    this.begin = begin === undefined ? this.nothing : { words: [begin], backoffs: [this.#trie.unigramBackoff(begin)] };
    const unknown = this.#trie.unigramLogProb(UNKNOWN);
    const lift = unknown < MISSING_UNKNOWN ? UNKNOWN_LOG10 - unknown : 0;
    /** Natural log added to the scores of unknown words, for a model that makes them impossible. */
    this.unknownLift = lift * LN10;
    /** Natural log p of an unknown word without context. */
    this.unknownScore = (unknown + lift) * LN10;
    /** Natural log p(word) without context, for each word of the vocabulary. */
    this.unigrams = Float64Array.from(this.indices, (index) =>
      Math.max(this.#trie.unigramLogProb(index) * LN10, this.unknownScore),
    );
  }

  /**
   * Index of a word in the model; 0 if it is unknown.
   *
   * @param {string} word
   */
  index(word) {
    const index = this.vocabulary.index(word);
    return this.vocabulary.words[index] === word ? this.indices[index] : UNKNOWN;
  }

  /**
   * Base-10 log p(word | state), as a number of single precision.
   *
   * @param {LmState} state
   * @param {number} word
   */
  log10(state, word) {
    const trie = this.#trie;
    const backoffs = this.#backoffs;
    let logProb = trie.unigramLogProb(word);
    const backoff = trie.unigramBackoff(word);
    backoffs.length = 0;
    backoffs.push(backoff);
    this.#kept = canContinue(backoff) ? 1 : 0;
    let length = 1; // of the longest n-gram found
    let begin = trie.firstChild(word);
    let end = trie.firstChild(word + 1);
    while (length <= state.words.length) {
      const ngrams = trie.longer[length - 1];
      const index = ngrams.find(state.words[length - 1], begin, end);
      if (index < 0) break;
      logProb = ngrams.logProb(index);
      length++;
      if (length === this.order) break;
      const weight = ngrams.backoff(index);
      backoffs.push(weight);
      if (canContinue(weight)) this.#kept = length;
      ngrams.readChildren(index);
      begin = ngrams.begin;
      end = ngrams.end;
    }
    for (let at = length - 1; at < state.backoffs.length; at++) logProb = Math.fround(logProb + state.backoffs[at]);
    return logProb;
  }

  /**
   * Natural log p(word | state).
   *
   * @param {LmState} state
   * @param {number} word Index of the word; 0 for an unknown one, whose score is lifted if the model has none.
   */
  logProb(state, word) {
    const logProb = this.log10(state, word) * LN10;
    return word === UNKNOWN ? logProb + this.unknownLift : logProb;
  }

  /**
   * The state after a word.
   *
   * @param {LmState} state
   * @param {number} word
   * @returns {LmState}
   */
  after(state, word) {
    this.log10(state, word);
    return { words: [word, ...state.words].slice(0, this.#kept), backoffs: this.#backoffs.slice(0, this.#kept) };
  }

  /**
   * Natural log p(`</s>` | state).
   *
   * @param {LmState} state
   */
  end(state) {
    return this.log10(state, this.endOfSentence) * LN10;
  }
}

/**
 * Whether a longer n-gram may begin with this one; KenLM stores -0 where none does.
 *
 * @param {number} backoff
 */
const canContinue = (backoff) => !Object.is(backoff, -0);
