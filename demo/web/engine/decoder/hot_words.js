/**
 * Expected words and phrases, and the scores that they add to a text.
 *
 * The boost of a text is the largest sum of boosts of phrases in it that do not overlap. A phrase adds its boost when
 * its last word is complete. Before that, a prefix has a look-ahead score, a part of the boost in proportion to the
 * letters so far, which is removed if the phrase does not follow.
 */

import { usageError } from "../errors.js";

export const MAX_BOOST = 100;

/**
 * Phrases that may continue: the node that each has reached, and minus the boosts that overlap with its beginning.
 *
 * @typedef {readonly (readonly [number, number])[]} HotState
 */

/** @type {HotState} */
const FIRST = [];

export class HotWords {
  /**
   * @param {Map<string, number>} boosts Natural log that each phrase adds, above 0; words are separated by white space.
   * @param {boolean} characters Whether phrases consist of characters, for a language model of characters.
   * @param {number} largest Boosts above it are refused.
   * @throws {EdgespeechError} A phrase is empty, or its boost is out of range.
   */
  constructor(boosts, characters = false, largest = MAX_BOOST) {
    /** @type {Set<string>} */
    this.tokens = new Set();
    /** @type {Map<string, number>[]} */
    this.children = [new Map()];
    this.boosts = [0];
    /** For each node: the beginnings of the next token, each with the part of the boost that its letters have.
     * @type {Map<string, number>[]} */
    this.partialBoosts = [new Map()];
    for (const [phrase, boost] of boosts) {
      const words = splitWords(phrase);
      const tokens = characters ? [...words.join("")] : words;
      if (!tokens.length) throw usageError(`hot word '${phrase}' has no letters; wanted a word or a phrase`);
      if (!(boost > 0 && boost <= largest)) {
        throw usageError(`hot word '${phrase}' has the boost ${boost}; wanted a number above 0, up to ${largest}`);
      }
      this.#insert(tokens, boost);
    }
  }

  get any() {
    return this.tokens.size > 0;
  }

  /**
   * @param {string[]} tokens
   * @param {number} boost
   */
  #insert(tokens, boost) {
    const letters = countLetters(tokens.join(""));
    let node = 0;
    let before = 0;
    for (const token of tokens) {
      this.tokens.add(token);
      const partialBoosts = this.partialBoosts[node];
      const characters = [...token];
      for (let length = node ? 0 : 1; length <= characters.length; length++) {
        const partial = (boost * (before + length)) / letters;
        const beginning = characters.slice(0, length).join("");
        partialBoosts.set(beginning, Math.max(partial, partialBoosts.get(beginning) ?? 0));
      }
      let child = this.children[node].get(token);
      if (child === undefined) {
        child = this.children.length;
        this.children[node].set(token, child);
        this.children.push(new Map());
        this.boosts.push(0);
        this.partialBoosts.push(new Map());
      }
      node = child;
      before += characters.length;
    }
    this.boosts[node] = Math.max(boost, this.boosts[node]);
  }

  /**
   * Match one complete word; null stands for one that is in no phrase.
   *
   * @param {string | null} token
   * @param {HotState} state
   * @returns {{boost: number, state: HotState}} What the best choice of phrases gains by this word, and the next state.
   */
  step(token, state) {
    if (token === null || !this.tokens.has(token)) return { boost: 0, state: FIRST };
    /** @type {[number, number][]} */
    const reached = [[0, 0], ...state].map(([node, overlap]) => [this.children[node].get(token) ?? 0, overlap]);
    let gain = 0;
    for (const [node, overlap] of reached) if (this.boosts[node]) gain = Math.max(gain, this.boosts[node] + overlap);
    /** @type {HotState} */
    const after = reached
      .filter(([node]) => node && this.children[node].size)
      .map(([node, overlap]) => /** @type {const} */ ([node, overlap - gain]));
    return { boost: gain, state: after };
  }

  /**
   * The part of a boost that an incomplete word, after this state, has already.
   *
   * @param {string} partial
   * @param {HotState} state
   */
  lookaheadScore(partial, state) {
    let best = Math.max(0, this.partialBoosts[0].get(partial) ?? 0);
    for (const [node, overlap] of state) best = Math.max(best, (this.partialBoosts[node].get(partial) ?? 0) + overlap);
    return best;
  }

  /**
   * The first word and the one after the last of each phrase, chosen for the largest sum of boosts.
   *
   * @param {string[]} words
   */
  find(words) {
    const best = new Float64Array(words.length + 1);
    const choice = new Int32Array(words.length + 1).fill(-1);
    for (let first = 0; first < words.length; first++) {
      if (best[first] > best[first + 1]) {
        best[first + 1] = best[first];
        choice[first + 1] = -1;
      }
      let node = 0;
      for (let last = first; last < words.length; last++) {
        node = this.children[node].get(words[last]) ?? 0;
        if (!node) break;
        if (this.boosts[node] && best[first] + this.boosts[node] > best[last + 1]) {
          best[last + 1] = best[first] + this.boosts[node];
          choice[last + 1] = first;
        }
      }
    }
    /** @type {[number, number][]} */
    const found = [];
    let end = words.length;
    while (end) {
      const start = choice[end];
      if (start >= 0) found.push([start, end]);
      end = start < 0 ? end - 1 : start;
    }
    return found.reverse();
  }
}

/**
 * A phrase in the letters of the labels: as it is, in lower or in upper case.
 *
 * @param {string} phrase
 * @param {readonly string[]} labels
 * @throws {EdgespeechError} The labels lack a letter of it.
 */
export function spell(phrase, labels) {
  const alphabet = new Set(labels.join(""));
  /** @param {string} form */
  const missing = (form) => [...new Set(splitWords(form).join(""))].filter((letter) => !alphabet.has(letter));
  const forms = [phrase, phrase.toLowerCase(), phrase.toUpperCase()];
  const best = forms.reduce((one, other) => (missing(other).length < missing(one).length ? other : one));
  const lacking = missing(best).sort();
  if (lacking.length) throw usageError(`'${best}' cannot be spelled: the labels have no ${lacking.join(" ")}`);
  return best;
}

/**
 * Hot words as `spell` returns them, with the largest boost of those that become equal.
 *
 * @param {Record<string, number>} boosts
 * @param {readonly string[]} labels
 */
export function spellBoosts(boosts, labels) {
  /** @type {Map<string, number>} */
  const spelled = new Map();
  for (const [phrase, boost] of Object.entries(boosts)) {
    const form = spell(phrase, labels);
    spelled.set(form, Math.max(boost, spelled.get(form) ?? boost));
  }
  return spelled;
}

/** @param {string} text */
export const splitWords = (text) => text.split(/\s+/u).filter((word) => word);

/** @param {string} text */
export const countLetters = (text) => [...text].length;
