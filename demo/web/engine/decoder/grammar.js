/**
 * Closed grammars: only the given phrases, and a mark for all other speech, can be recognised.
 *
 * Every letter outside the phrases costs a fixed score; the letters of a phrase are free. Among all ways to split a text
 * into phrases and other words, the cheapest counts.
 */

import { usageError } from "../errors.js";
import { HotWords, countLetters, spell, splitWords } from "./hot_words.js";

export const UNKNOWN_SPEECH = "<unknown>";
export const DEFAULT_FILLER_SCORE = -2;

/** @typedef {import("./word_times.js").Span} Span */

export class Grammar {
  /**
   * @param {readonly string[]} phrases Words separated by white space.
   * @param {number} fillerScore Natural log, below 0, added for each letter outside the phrases.
   * @param {readonly string[]} labels Labels that spell the phrases.
   * @param {boolean} characters Whether each character is a word, because no label contains a space.
   * @throws {EdgespeechError} There are no phrases, or one is empty or cannot be spelled.
   */
  constructor(phrases, fillerScore, labels, characters = false) {
    const spelled = phrases.map((phrase) => spell(phrase, labels));
    const costs = new Map(spelled.map((phrase) => [phrase, -fillerScore * lettersOf(phrase)]));
    /** The phrases as hot words that are boosted by what their letters cost. */
    this.hotWords = new HotWords(costs, characters, Infinity);
    this.fillerScore = fillerScore;
    if (!this.hotWords.any) throw usageError("the grammar has no phrases; wanted at least one");
  }

  /**
   * The cost of each label outside the phrases.
   *
   * @param {readonly string[]} labels
   * @param {number} blank
   */
  labelScores(labels, blank) {
    return Float64Array.from(labels, (text, label) => (label === blank ? 0 : this.fillerScore * lettersOf(text)));
  }

  /**
   * Replace each run of words outside the phrases by one mark; a single letter counts as noise and is dropped.
   *
   * @param {Span[]} words
   * @returns {Span[]}
   */
  apply(words) {
    /** @type {Span[]} */
    const applied = [];
    let end = 0;
    for (const [first, last] of [...this.hotWords.find(words.map((span) => span.word)), [words.length, words.length]]) {
      const others = words.slice(end, first);
      if (others.reduce((letters, span) => letters + countLetters(span.word), 0) > 1) {
        const mark = { word: UNKNOWN_SPEECH, first: others[0].first, last: others[others.length - 1].last };
        applied.push({ ...mark, labels: 0, logProb: 0 });
      }
      applied.push(...words.slice(first, last));
      end = last;
    }
    return applied;
  }
}

/** @param {string} text */
const lettersOf = (text) => countLetters(splitWords(text).join(""));
