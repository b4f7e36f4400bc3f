/**
 * Chunks of one stream through the model, the endpoint rules and the search, to events.
 *
 * Frames are numbered from the beginning of the stream. Each is decoded once: `endSegment` decodes those inside the
 * look-ahead as if silence followed, and their real outputs are skipped when they come.
 */

import { concatenate } from "./audio/arrays.js";
import { nextFloor } from "./audio/level.js";
import { joinWords } from "./decoder/word_times.js";
import { frameLevels } from "./endpoint.js";
import { isSpeech } from "./min_evidence.js";
import { roundHalfEven } from "./numbers.js";
import { stepSamples } from "./options.js";

/**
 * The stages that all streams of a recognizer share, none of which has a state of its own.
 *
 * @typedef {{
 *   manifest: import("./bundle.js").Manifest, conditioner: import("./audio/conditioner.js").Conditioner,
 *   model: import("./acoustic_model.js").AcousticModel, search: import("./decoder/beam_search.js").BeamSearch,
 *   endpointer: import("./endpoint.js").Endpointer, minEvidence: number, chunkSamples: number, nbest: number,
 * }} Parts
 * @typedef {import("./recognizer.d.ts").RecognitionEvent} Event
 * @typedef {import("./recognizer.d.ts").Hypothesis} Hypothesis
 */

// Silence appended to a recording: a unidirectional model outputs a letter some frames after its sound.
const TAIL_SECONDS = 0.3;

const SPEECH_ABOVE_FLOOR = 6; // dB; frames of noise alone differ by less
const QUIET_SECONDS = 1; // after which a stream counts as quiet

export class Recognition {
  #parts;
  #fastPartials;
  #labels;
  #frameSamples;
  #frameSeconds;
  #delayFrames;
  #modelState;
  #framesInModel = 0;
  #segmentFirstFrame = 0;
  /** @type {number[]} dB, of the frames in the model that are not decoded. */
  #levels = [];
  #search;
  #nextSearch;
  #searchState;
  #endpointState;
  #blankScore = 0;
  #shown = "";
  #committed = "";
  #hasText = false; // the decoded frames of the segment
  /** @type {number | null} dB, of the noise. */
  #floor = null;
  #quietFrames = 0;

  /**
   * @param {Parts} parts
   * @param {boolean} fastPartials
   */
  constructor(parts, fastPartials) {
    const { audio, labels } = parts.manifest;
    this.#parts = parts;
    this.#fastPartials = fastPartials;
    this.#labels = labels.length;
    this.#frameSamples = audio.frame_samples;
    this.#frameSeconds = audio.frame_samples / audio.sample_rate;
    this.#delayFrames = audio.delay_frames;
    this.#modelState = parts.model.initialState();
    this.#search = this.#nextSearch = parts.search;
    this.#searchState = this.#search.initialState();
    this.#endpointState = parts.endpointer.initialState();
    this.framesDecoded = 0;
    this.secondsResampled = 0;
    this.arrived = 0; // milliseconds by performance.now()
  }

  get samplesInModel() {
    return this.#framesInModel * this.#frameSamples;
  }

  get segmentStart() {
    return this.#segmentFirstFrame * this.#frameSeconds;
  }

  /**
   * The number of frames of a recording, including those of the silence appended to it. A model that is told the end
   * needs no silence, but may have one frame more, at the end itself.
   *
   * @param {number} samples
   */
  framesOf(samples) {
    const tail = this.#parts.manifest.audio.end_state ? 1 : roundHalfEven(TAIL_SECONDS / this.#frameSeconds);
    return samples ? Math.ceil(samples / this.#frameSamples) + tail : 0;
  }

  /**
   * Tell the model that the recording ends after this many samples of the next chunk.
   *
   * @param {number} samples
   */
  endRecording(samples) {
    this.#modelState = this.#parts.model.ending(this.#modelState, samples);
  }

  /**
   * Change the hot words from the next segment on, or from this one if none of its frames has been decoded.
   *
   * @param {Record<string, number>} hotWords
   */
  setHotWords(hotWords) {
    this.#nextSearch = this.#search.withHotWords(hotWords);
    if (this.#searchState.frame) return;
    this.#search = this.#nextSearch;
    this.#searchState = this.#search.initialState();
  }

  /**
   * Process a chunk, [chunkSamples], and decode at most `maxFrames` frames.
   *
   * @param {Float32Array} chunk
   * @param {number} maxFrames
   * @returns {Promise<Event[]>}
   */
  async advance(chunk, maxFrames = Infinity) {
    this.#listen(this.#addLevels(chunk));
    chunk = this.#parts.conditioner.fillSilence(chunk.slice(), this.samplesInModel);
    const { logProbs, state } = await this.#parts.model.step(chunk, this.#modelState);
    this.#modelState = state;
    const first = Math.max(0, this.framesDecoded - (this.#framesInModel - this.#delayFrames));
    this.#framesInModel += chunk.length / this.#frameSamples;
    return this.#decode(this.#rows(logProbs, first, first + maxFrames));
  }

  /**
   * Use the audio inside the look-ahead: for an endpoint, or for a fast partial. It is not computed for partials while
   * there is nothing but noise.
   *
   * @returns {Promise<Event[]>}
   */
  async lookAhead() {
    const { endpointer } = this.#parts;
    const mayEnd = endpointer.mayEnd(this.#endpointState, this.#levels.length);
    if (!mayEnd && (!this.#fastPartials || this.#isQuiet)) return [];
    /** @type {Event[]} */
    const events = [];
    const rows = await this.#padLookAhead(new Float32Array(0), 0);
    if (mayEnd && endpointer.endsEarly(rows, this.#levels, this.#endpointState)) events.push(...this.finishSegment());
    if (this.#fastPartials) {
      const text = this.#search.preview(rows, this.#searchState);
      events.push(...this.#show(singleSpaces(text), rows.length / this.#labels));
    }
    return events;
  }

  /**
   * End the segment after samples that have not been processed and will come again.
   *
   * An incomplete frame and a little silence are decoded behind it; they count as not decoded.
   *
   * @param {Float32Array} waiting
   * @returns {Promise<Event[]>}
   */
  async endSegment(waiting) {
    const whole = Math.floor(waiting.length / this.#frameSamples);
    const end = this.framesOf(this.samplesInModel + waiting.length);
    const rows = await this.#padLookAhead(waiting, end - this.#framesInModel);
    this.#addLevels(waiting.subarray(0, whole * this.#frameSamples));
    const count = this.#framesInModel + whole - this.framesDecoded;
    const events = this.#decode(this.#rows(rows, 0, count)).filter((event) => event.type === "final");
    this.#decodeRows(this.#rows(rows, count));
    return [...events, ...this.finishSegment()];
  }

  /**
   * @param {Float32Array} logProbs
   * @param {number} first
   * @param {number} [end]
   */
  #rows(logProbs, first, end = Infinity) {
    return logProbs.subarray(first * this.#labels, Math.max(0, Math.min(logProbs.length, end * this.#labels)));
  }

  /** @param {Float32Array} samples */
  #addLevels(samples) {
    const levels = frameLevels(samples, this.#frameSamples);
    this.#levels.push(...levels.slice(Math.max(0, this.framesDecoded - this.#framesInModel)));
    return levels;
  }

  /**
   * Count the frames at the end of the audio in the model in which nothing is louder than the noise.
   *
   * @param {Iterable<number>} levels
   */
  #listen(levels) {
    for (const level of levels) {
      this.#floor = nextFloor(level, this.#floor, this.#frameSeconds);
      this.#quietFrames = level < this.#floor + SPEECH_ABOVE_FLOOR ? this.#quietFrames + 1 : 0;
    }
  }

  /** Whether the segment has no word, and nothing has been louder than the noise for a while. */
  get #isQuiet() {
    const enough = Math.max(this.#levels.length, QUIET_SECONDS / this.#frameSeconds);
    return this.#quietFrames >= enough && !this.#shown && !this.#hasText;
  }

  /**
   * The outputs that are not decoded, if the recording ended or silence followed `waiting`.
   *
   * @param {Float32Array} waiting
   * @param {number} frames How far behind the audio in the model they end; `waiting` is at most as long.
   */
  async #padLookAhead(waiting, frames) {
    const { conditioner, model, chunkSamples: size, manifest } = this.#parts;
    const count = frames + this.#delayFrames;
    const ends = [0];
    for (let left = count * this.#frameSamples; left > 0; left = count * this.#frameSamples - ends[ends.length - 1]) {
      ends.push(ends[ends.length - 1] + stepSamples(manifest.audio, size, left));
    }
    const length = ends[ends.length - 1];
    const position = this.samplesInModel;
    const silence = conditioner.silence(position + waiting.length, length - waiting.length);
    const audio = conditioner.fillSilence(concatenate([waiting, silence]), position);
    let state = model.ending(this.#modelState, waiting.length);
    const pieces = [];
    for (let index = 1; index < ends.length; index++) {
      const step = await model.step(audio.slice(ends[index - 1], ends[index]), state);
      state = step.state;
      pieces.push(step.logProbs);
    }
    return this.#rows(concatenate(pieces), this.framesDecoded - this.#framesInModel + this.#delayFrames, count);
  }

  /**
   * @param {Float32Array} rows Log-probabilities [frames, labels].
   * @returns {Event[]}
   */
  #decode(rows) {
    /** @type {Event[]} */
    const events = [];
    while (rows.length) {
      const { ended, state } = this.#parts.endpointer.step(rows, this.#levels, this.#endpointState);
      this.#endpointState = state;
      const taken = ended ?? rows.length / this.#labels;
      const partial = this.#decodeRows(this.#rows(rows, 0, taken));
      this.framesDecoded += taken;
      this.#levels.splice(0, taken);
      rows = this.#rows(rows, taken);
      if (ended !== null) {
        events.push(...this.finishSegment());
        continue;
      }
      this.#committed = singleSpaces(partial.committed);
      if (!this.#fastPartials) events.push(...this.#show(singleSpaces(partial.text)));
    }
    return events;
  }

  /** @param {Float32Array} rows */
  #decodeRows(rows) {
    const { partial, state } = this.#search.step(rows, this.#searchState);
    this.#searchState = state;
    this.#hasText = /[^ ]/.test(partial.text);
    for (let at = this.#search.blank; at < rows.length; at += this.#labels) this.#blankScore += rows[at];
    return partial;
  }

  /**
   * @param {string} text
   * @param {number} framesAhead
   * @returns {Event[]}
   */
  #show(text, framesAhead = 0) {
    if (!text || text === this.#shown) return [];
    this.#shown = text;
    return [this.#partial(text, this.#committed, framesAhead)];
  }

  /**
   * @param {string} text
   * @param {string} committed
   * @param {number} framesAhead
   * @returns {Event}
   */
  #partial(text, committed, framesAhead = 0) {
    return {
      type: "partial",
      text,
      committed,
      tentative: text.slice(committed.length),
      start: this.segmentStart,
      end: Math.min((this.framesDecoded + framesAhead) * this.#frameSeconds, this.secondsResampled),
      latency_ms: performance.now() - this.arrived,
    };
  }

  /**
   * Make the present segment final.
   *
   * @returns {Event[]}
   */
  finishSegment() {
    const { manifest, minEvidence, nbest, endpointer } = this.#parts;
    const hypotheses = this.#search.finish(this.#searchState, nbest).map((one) => this.#inStream(one));
    const [best] = hypotheses;
    const spoken = isSpeech(best, this.#blankScore, minEvidence, manifest.decoder.least_confidence);
    const words = spoken ? best.words : [];
    const retract = this.#shown !== "" && !words.length;
    this.#segmentFirstFrame = this.framesDecoded;
    this.#search = this.#nextSearch;
    this.#searchState = this.#search.initialState();
    this.#endpointState = endpointer.initialState();
    this.#blankScore = 0;
    this.#shown = this.#committed = "";
    this.#hasText = false;
    // A partial showed words, but the best complete hypothesis has none or they are probably noise.
    if (retract) return [this.#partial("", "")];
    if (!words.length) return [];
    const text = joinWords(words);
    const times = { start: words[0].start, end: words[words.length - 1].end };
    const latency = performance.now() - this.arrived;
    return [{ type: "final", text, committed: text, tentative: "", ...times, words, nbest: hypotheses, latency_ms: latency }];
  }

  /**
   * The hypothesis with times and frames from the beginning of the stream.
   *
   * @param {Hypothesis} hypothesis
   * @returns {Hypothesis}
   */
  #inStream(hypothesis) {
    const first = this.#segmentFirstFrame;
    const offset = first * this.#frameSeconds;
    const end = Math.min(this.framesDecoded * this.#frameSeconds, this.secondsResampled);
    const last = Math.max(0, end - this.#frameSeconds);
    const words = hypothesis.words.map((word) => ({
      ...word,
      start: Math.min(word.start + offset, last),
      end: Math.min(word.end + offset, end),
    }));
    return { ...hypothesis, words, frames: hypothesis.frames.map((frame) => first + frame) };
  }
}

/** @param {string} text */
const singleSpaces = (text) => text.replace(/ +/g, " ").replace(/^ /, "");
