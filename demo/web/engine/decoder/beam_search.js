/**
 * Streaming CTC prefix beam search with a language model and hot words.
 *
 * Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y| + hot words of y,
 * natural logarithms throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8). The algorithm, and so the text,
 * is that of the Python package.
 */

import { languageModelError, usageError } from "../errors.js";
import { BeamState } from "./beam_state.js";
import { posteriors } from "./branches.js";
import { FrameSearch } from "./frame_search.js";
import { Grammar } from "./grammar.js";
import { HotWords, spellBoosts } from "./hot_words.js";
import { PrefixStates } from "./prefix_states.js";
import { checkLogProbs, SymbolChoice } from "./symbols.js";
import { WordScorer } from "./word_scorer.js";
import { Agreement, anySpace, certainty, joinWords, separateWords } from "./word_times.js";

const TIDY_EVERY_FRAMES = 64;
const PREVIEW_THRESHOLD = 9; // that of the Python package

/**
 * @typedef {import("../options.js").DecoderSettings} DecoderSettings
 * @typedef {import("../language_model/language_model.js").LanguageModel} LanguageModel
 * @typedef {import("../recognizer.d.ts").Hypothesis} Hypothesis
 * @typedef {import("./word_times.js").Span} Span
 * @typedef {{text: string, committed: string, tentative: string}} Partial
 * @typedef {{hotWords?: Record<string, number> | null, grammar?: readonly string[] | null}} Phrases
 */

export class BeamSearch {
  #lm;
  #settings;
  #scorer;
  #frames;
  #grammar;
  #wordPieces; // labels, divided where words end
  #joined; // whether words stand side by side, because each of them is a character
  #symbols;
  #states;
  #row;

  /**
   * @param {readonly string[]} labels Text of each label; the text of the blank is not used.
   * @param {number} blank
   * @param {LanguageModel | null} lm Over words, applied where a label with a space ends a word; or over characters, if no
   *   label contains a space or if it knows nothing longer.
   * @param {DecoderSettings} settings
   * @param {Phrases} phrases Hot words with their boosts, or a closed grammar.
   * @throws {EdgespeechError} Two settings exclude each other, or the language model does not fit the labels.
   */
  constructor(labels, blank, lm, settings, { hotWords = null, grammar = null } = {}) {
    this.labels = labels;
    this.blank = blank;
    this.#lm = lm;
    this.#settings = settings;
    const characters = usesCharacters(settings.unit, lm, labels);
    const byCharacters = characters && !anySpace(labels);
    this.#wordPieces = labels.map((text) => separateWords(text, byCharacters));
    this.#joined = byCharacters;
    this.#grammar = grammar ? new Grammar(grammar, settings.fillerScore, labels, byCharacters) : null;
    if (this.#grammar && (lm || (hotWords && Object.keys(hotWords).length) || settings.beta)) {
      throw usageError("a closed grammar excludes a language model, beta and hot words; leave them out");
    }
    const expected = this.#grammar?.hotWords ?? new HotWords(spellBoosts(hotWords ?? {}, labels), characters);
    this.#scorer = new WordScorer(labels, lm, settings, expected, characters);
    this.#symbols = new SymbolChoice(labels.length, blank, settings.symbolMass, settings.maxSymbols);
    this.#states = new PrefixStates(this.#scorer);
    this.#row = new Float64Array(labels.length);
    const labelScores = this.#grammar?.labelScores(labels, blank) ?? null;
    this.#frames = new FrameSearch(this.#scorer, blank, settings.beamWidth, labelScores);
  }

  /** What the user should know about the fit of the language model and the labels; often empty. */
  get warning() {
    return this.#scorer.warning;
  }

  /**
   * This search with other hot words; the states of one cannot be used with the other.
   *
   * @param {Record<string, number>} hotWords
   * @throws {EdgespeechError} A hot word is invalid, or this search has a grammar.
   */
  withHotWords(hotWords) {
    if (this.#grammar) {
      throw usageError("a closed grammar excludes hot words; make a recognizer without the grammar");
    }
    return new BeamSearch(this.labels, this.blank, this.#lm, this.#settings, { hotWords });
  }

  /** The state before the first frame. */
  initialState() {
    return new BeamState(this.#frames.begin(), this.#states);
  }

  /**
   * Process more frames; the result does not depend on how a stream is cut into calls.
   *
   * @param {Float32Array | Float64Array} logProbs [frames, labels], natural logarithm.
   * @param {BeamState} before From `initialState` or an earlier step; it is not changed.
   * @returns {{partial: Partial, state: BeamState}} The text so far, and the next state.
   * @throws {EdgespeechError} The numbers cannot be log-probabilities over these labels.
   */
  step(logProbs, before) {
    const state = this.#advance(logProbs, before, this.#settings.beamThreshold);
    return { partial: this.#partial(state), state };
  }

  /**
   * The text so far if these frames came next, which are not kept.
   *
   * More prefixes are dropped than in `step`, so the text can differ from its.
   *
   * @param {Float32Array | Float64Array} logProbs [frames, labels], natural logarithm.
   * @param {BeamState} state From `initialState` or an earlier step; it is not changed.
   * @throws {EdgespeechError} The numbers cannot be log-probabilities over these labels.
   */
  preview(logProbs, state) {
    const threshold = Math.min(PREVIEW_THRESHOLD, this.#settings.beamThreshold);
    return this.#partial(this.#advance(logProbs, state, threshold)).text;
  }

  /**
   * @param {Float32Array | Float64Array} logProbs
   * @param {BeamState} before
   * @param {number} threshold Prefixes that score further below the best are dropped.
   */
  #advance(logProbs, before, threshold) {
    const labels = this.labels;
    checkLogProbs(logProbs, labels.length);
    const state = before.copy();
    this.#moveToTable(state);
    const { symbols } = this.#symbols;
    for (let start = 0; start < logProbs.length; start += labels.length) {
      this.#row.set(logProbs.subarray(start, start + labels.length));
      this.#symbols.choose(this.#row);
      const frame = { row: this.#row, symbols, count: this.#symbols.count, number: state.frame };
      state.beams = this.#frames.advance(frame, state.beams, state.trie, state.states, threshold);
      if (++state.frame % TIDY_EVERY_FRAMES === 0) {
        state.compact();
        state.commit(labels, this.#wordPieces, this.#settings.maxTentative);
        this.#moveToTable(state);
      }
    }
    state.compact();
    return state;
  }

  /**
   * End the utterance.
   *
   * @param {BeamState} state State after the last frame; it is not changed.
   * @param {number} nbest Maximum number of hypotheses.
   * @returns {Hypothesis[]} With distinct labels (with a grammar: distinct texts), best first, at least one.
   */
  finish(state, nbest = Infinity) {
    const { beams, states } = state;
    const ends = beams.histories.map((history, row) => this.#scorer.finish(history, states.states[beams.state[row]]));
    const hotScores = ends.map(({ hotScore }, row) =>
      this.#grammar ? hotScore + (beams.complete[row] - beams.histories[row].score) : hotScore,
    );
    const { alpha } = this.#scorer;
    const { beta, frameSeconds, confidencePower } = this.#settings;
    const scores = Float64Array.from(
      ends,
      ({ lmScore, words }, row) => beams.acoustic[row] + alpha * lmScore + beta * words + hotScores[row],
    );
    const ranking = ends.map((_, row) => row).sort((one, other) => scores[other] - scores[one]);
    const branches = state.branches();
    const { chosen, agreement, settled } = this.#readWords(state, scores, ranking, nbest);
    return chosen.map(({ row, spans }) => {
      const path = branches.path(row);
      const labels = [...state.committed.labels, ...path.map((column) => branches.value("label", column))];
      const words = spans.map((span, at) => ({
        word: span.word,
        start: span.first * frameSeconds,
        end: (span.last + 1) * frameSeconds,
        confidence: certainty(span, confidencePower) * (at < settled.length ? settled[at] : agreement.mass(span)),
        joined: this.#joined && at > 0,
      }));
      return {
        text: this.#grammar ? joinWords(words) : labels.map((label) => this.labels[label]).join(""),
        words,
        score: scores[row],
        acoustic_score: beams.acoustic[row],
        lm_score: ends[row].lmScore,
        hot_word_score: hotScores[row],
        labels,
        frames: [...state.committed.frames, ...path.map((column) => branches.value("frame", column))],
      };
    });
  }

  /**
   * @param {BeamState} state
   * @returns {Partial}
   */
  #partial(state) {
    if (!this.#grammar) return state.partial(this.labels);
    const spans = this.#grammar.apply(state.spans(state.branches(), state.beams.best(), this.#wordPieces));
    const text = spans.map((span) => span.word).join(this.#joined ? "" : " ");
    return { text, committed: "", tentative: text };
  }

  /**
   * Move a state to the current table of prefix states, starting a new table first if the current one is full.
   *
   * @param {BeamState} state
   */
  #moveToTable(state) {
    if (state.states.scorer !== this.#scorer) throw usageError("state is from another search; wanted one of this search");
    if (this.#states.full) this.#states = new PrefixStates(this.#scorer);
    const { beams, states } = state;
    if (states === this.#states) return;
    for (let row = 0; row < beams.size; row++) beams.state[row] = this.#states.row(states.states[beams.state[row]]);
    state.states = this.#states;
  }

  /**
   * The words of the best beams, best first; with a grammar, of the best beam of each text.
   *
   * @param {BeamState} state
   * @param {Float64Array} scores
   * @param {number[]} ranking
   * @param {number} nbest
   */
  #readWords(state, scores, ranking, nbest) {
    const branches = state.branches();
    const masses = posteriors(scores);
    if (!this.#grammar) {
      const chosen = ranking.slice(0, nbest).map((row) => ({ row, spans: state.spans(branches, row, this.#wordPieces) }));
      const agreement = branches.agreement(masses, this.#wordPieces, state.committed.begin);
      return { chosen, agreement, settled: state.committed.masses };
    }
    /** @type {{row: number, spans: Span[]}[]} */
    const chosen = [];
    const agreement = new Agreement();
    const texts = new Set();
    for (const row of ranking) {
      const spans = this.#grammar.apply(state.spans(branches, row, this.#wordPieces));
      for (const span of spans) agreement.add(span, masses[row]);
      const text = spans.map((span) => span.word).join(" ");
      if (!texts.has(text) && chosen.length < nbest) chosen.push({ row, spans });
      texts.add(text);
    }
    return { chosen, agreement, settled: /** @type {number[]} */ ([]) };
  }
}

/**
 * Whether language model and hot words are over characters.
 *
 * @param {"word" | "character" | null} unit
 * @param {LanguageModel | null} lm
 * @param {readonly string[]} labels
 */
function usesCharacters(unit, lm, labels) {
  if (unit) return unit === "character";
  const overCharacters = lm ? lm.vocabulary.isOfCharacters() : !anySpace(labels);
  if (!overCharacters && !anySpace(labels)) {
    throw languageModelError(
      "the language model is over words, but no label contains a space, so each character is a word; build it with " +
        "--unit character",
    );
  }
  return overCharacters;
}
