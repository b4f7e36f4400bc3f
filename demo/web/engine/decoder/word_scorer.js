/**
 * Word-level scores as labels arrive: alpha log p_lm + beta |words| + hot words.
 *
 * A prefix has a history (its complete words) and a prefix state (the letters since the last space, and the hot words
 * that may continue). Inside a word the score contains a look-ahead score, which is replaced when the word ends: the
 * boost of a hot word so far, and the language model's look-ahead, the best unigram of the known words with this
 * beginning, and beta. Once no known word has this beginning, it contains the out-of-vocabulary penalty instead.
 */

import { checkFit, SPACE_TOKEN } from "../language_model/label_fit.js";
import { UNKNOWN } from "../language_model/language_model.js";
import { Vocabulary } from "../language_model/vocabulary.js";

/**
 * The part of a prefix that decides how it can continue within a word: hot words that may continue, and the letters
 * since the last space, null if no known word begins with them.
 *
 * @typedef {{hot: import("./hot_words.js").HotState, text: string | null}} PrefixState
 *
 * Effect of a label that may end words, in one prefix state: the words that it ends (index in the language model, and
 * whether they get the out-of-vocabulary penalty), the boosts of the hot words among them, the state after the label,
 * the added score without the language model's score of the words, and an upper bound of it for any history.
 *
 * @typedef {{words: ScoredWord[], hotScore: number, state: PrefixState, gain: number, maxGain: number}} Ending
 * @typedef {{index: number, penalised: boolean}} ScoredWord
 *
 * The complete words of a prefix: state of the language model, natural log p_lm with out-of-vocabulary penalties, number
 * of the words, boosts of the hot words among them, and the score that all of this adds.
 *
 * @typedef {{lm: LmState, lmScore: number, words: number, hotScore: number, score: number}} History
 * @typedef {import("../language_model/language_model.js").LmState} LmState
 */

/** @type {PrefixState} */
export const START = { hot: [], text: "" };

export class WordScorer {
  #lm;
  #beta;
  #unknownScore;
  /** @type {Map<string, number[]>} */
  #labelsByLetter = new Map();

  /**
   * @param {readonly string[]} labels
   * @param {import("../language_model/language_model.js").LanguageModel | null} lm
   * @param {{alpha: number, beta: number, unknownScore: number}} weights
   * @param {import("./hot_words.js").HotWords} hotWords
   * @param {boolean} characters Whether every character counts as a word, for a language model of characters.
   * @throws {EdgespeechError} The language model does not fit the labels.
   */
  constructor(labels, lm, { alpha, beta, unknownScore }, hotWords, characters) {
    this.labels = labels.length;
    this.alpha = lm ? alpha : 0;
    this.hotWords = hotWords;
    this.#lm = lm;
    this.#beta = beta;
    this.#unknownScore = unknownScore;
    /** What the user should know about the fit of the language model and the labels; often empty. */
    this.warning = lm ? checkFit(labels, lm, characters) : "";
    /** The texts of each label between ends of words. */
    this.pieces = labels.map((text) => {
      if (!lm && !beta && !hotWords.any) return [""]; // words have no score of their own
      return characters ? [...text.replaceAll(" ", SPACE_TOKEN), ""] : text.split(" ");
    });
    this.endsWords = Uint8Array.from(this.pieces, (pieces) => (pieces.length > 1 ? 1 : 0));
    this.pieces.forEach(([first, ...rest], label) => {
      if (!first || rest.length) return;
      const same = this.#labelsByLetter.get(first[0]);
      if (same) same.push(label);
      else this.#labelsByLetter.set(first[0], [label]);
    });
    const known = lm ? lm.vocabulary : new Vocabulary([]);
    const added = [...hotWords.tokens].filter((word) => !known.has(word));
    /** The words that letters may become. */
    this.lexicon = added.length ? new Vocabulary([...known.words, ...added]) : known;
    this.penalty = lm ? this.alpha * unknownScore : 0;
    this.unknownLookahead = this.penalty;
    this.startLookahead = 0;
    /** Natural log p(word) without context, for each word of the lexicon; empty without a language model. */
    this.unigrams = new Float64Array(0);
    if (lm) {
      this.unknownLookahead += this.alpha * lm.unknownScore + beta;
      this.startLookahead = this.alpha * lm.unigrams.reduce((one, other) => Math.max(one, other), lm.unknownScore);
      this.unigrams = lm.unigrams;
      if (added.length) {
        let next = 0;
        const isAdded = new Set(added);
        this.unigrams = Float64Array.from(this.lexicon.words, (word) =>
          isAdded.has(word) ? lm.unknownScore : lm.unigrams[next++],
        );
      }
    }
  }

  /** @returns {History} The history of the empty prefix. */
  begin() {
    return this.#history(this.#lm ? this.#lm.begin : { words: [], backoffs: [] }, 0, 0, 0);
  }

  /**
   * @param {LmState} lm
   * @param {number} lmScore
   * @param {number} words
   * @param {number} hotScore
   * @returns {History}
   */
  #history(lm, lmScore, words, hotScore) {
    return { lm, lmScore, words, hotScore, score: this.alpha * lmScore + this.#beta * words + hotScore };
  }

  /**
   * The score that a prefix in this state has in addition to that of its history.
   *
   * @param {PrefixState} state
   */
  lookaheadScore({ hot, text }) {
    if (text === null) return this.unknownLookahead;
    const score = this.hotWords.any ? this.hotWords.lookaheadScore(text, hot) : 0;
    if (!this.unigrams.length) return score;
    if (text === "") return score + this.startLookahead;
    const first = this.lexicon.index(text);
    return score + this.alpha * this.#bestUnigram(first, this.lexicon.endOf(text, first)) + this.#beta;
  }

  /**
   * @param {number} first
   * @param {number} end
   */
  #bestUnigram(first, end) {
    let best = -Infinity;
    for (let at = first; at < end; at++) if (this.unigrams[at] > best) best = this.unigrams[at];
    return best;
  }

  /**
   * The state after a label that ends no word.
   *
   * @param {PrefixState} state
   * @param {number} label
   * @returns {PrefixState}
   */
  follow(state, label) {
    const text = this.#grow(state.text, this.pieces[label][0]);
    return { hot: text === null ? [] : state.hot, text };
  }

  /**
   * Compute for each label the score that a prefix has after it, in addition to that of its history: exact for labels
   * that end no word, and an upper bound over all histories for the others.
   *
   * @param {PrefixState} state
   * @param {Float64Array} row [labels], to which the scores are written.
   */
  fillLookaheadRow(state, row) {
    row.fill(this.unknownLookahead);
    const { text } = state;
    if (text !== null) this.#fillLetters(state, text, row);
    for (let label = 0; label < this.labels; label++) {
      if (this.endsWords[label]) row[label] = this.ending(state, label).maxGain;
    }
  }

  /**
   * @param {PrefixState} state
   * @param {string} text
   * @param {Float64Array} row
   */
  #fillLetters(state, text, row) {
    const { words } = this.lexicon;
    let at = this.lexicon.index(text);
    if (words[at] === text) at++;
    while (at < words.length && words[at].startsWith(text)) {
      const letter = words[at][text.length];
      const end = this.lexicon.endOf(text + letter, at);
      const score = this.unigrams.length ? this.#bestUnigram(at, end) * this.alpha + this.#beta : 0;
      for (const label of this.#labelsByLetter.get(letter) ?? []) {
        const plain = !this.hotWords.any && this.pieces[label][0].length === 1;
        row[label] = plain ? score : this.lookaheadScore(this.follow(state, label));
      }
      at = end;
    }
  }

  /**
   * The effect of a label that may end words.
   *
   * @param {PrefixState} state
   * @param {number} label
   * @returns {Ending}
   */
  ending(state, label) {
    const [first, ...rest] = this.pieces[label];
    let text = this.#grow(state.text, first);
    let { hot } = state;
    let hotScore = 0;
    let unknown = 0;
    /** @type {ScoredWord[]} */
    const words = [];
    for (const piece of rest) {
      if (text !== "") {
        if (text === null || !this.lexicon.has(text)) unknown++;
        words.push(this.#scored(text));
        const step = this.hotWords.step(text, hot);
        hotScore += step.boost;
        hot = step.state;
      }
      text = this.#grow("", piece);
    }
    const after = { hot, text };
    const gain = this.#beta * words.length + hotScore + this.lookaheadScore(after);
    return { words, hotScore, state: after, gain, maxGain: gain + this.penalty * unknown };
  }

  /**
   * The score that an ending adds to a prefix with this history, look-ahead included.
   *
   * @param {History} history
   * @param {Ending} ending
   */
  gain(history, ending) {
    if (!this.#lm) return ending.gain;
    const { words } = ending;
    if (words.length === 1 && words[0].index !== UNKNOWN) {
      return ending.gain + this.alpha * this.#lm.logProb(history.lm, words[0].index);
    }
    return ending.gain + this.alpha * (this.endWords(history, ending).lmScore - history.lmScore);
  }

  /**
   * The history after an ending.
   *
   * @param {History} history
   * @param {Ending} ending
   */
  endWords(history, ending) {
    let { lm, lmScore } = history;
    if (this.#lm) {
      for (const { index, penalised } of ending.words) {
        lmScore += this.#lm.logProb(lm, index) + (penalised ? this.#unknownScore : 0);
        lm = this.#lm.after(lm, index);
      }
    }
    return this.#history(lm, lmScore, history.words + ending.words.length, history.hotScore + ending.hotScore);
  }

  /**
   * End the last word, if there is one, and the sentence.
   *
   * @param {History} history
   * @param {PrefixState} state
   */
  finish(history, { hot, text }) {
    if (text !== "") {
      const { boost } = this.hotWords.step(text, hot);
      history = this.endWords(history, { words: [this.#scored(text)], hotScore: boost, state: START, gain: 0, maxGain: 0 });
    }
    const end = this.#lm ? this.#lm.end(history.lm) : 0;
    return this.#history(history.lm, history.lmScore + end, history.words, history.hotScore);
  }

  /**
   * @param {string | null} text
   * @returns {ScoredWord}
   */
  #scored(text) {
    const index = this.#lm && text !== null ? this.#lm.index(text) : UNKNOWN;
    return { index, penalised: index === UNKNOWN && !(text !== null && this.hotWords.tokens.has(text)) };
  }

  /**
   * @param {string | null} text
   * @param {string} piece
   */
  #grow(text, piece) {
    if (!piece || text === null) return text;
    return this.lexicon.isPrefix(text + piece) ? text + piece : null;
  }
}
