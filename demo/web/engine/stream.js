/** Streaming recognition: audio goes in as it arrives, partial and final events come out. */

import { concatenate } from "./audio/arrays.js";
import { LOW_SPEECH_LEVEL } from "./audio/level.js";
import { Resampler } from "./audio/resampler.js";
import { audioError, usageError } from "./errors.js";
import { chunkSamples, stepSamples } from "./options.js";
import { Recognition } from "./recognition.js";

/**
 * @typedef {import("./recognition.js").Parts} Parts
 * @typedef {import("./recognizer.d.ts").RecognitionEvent} Event
 * @typedef {import("./recognizer.d.ts").Stream} PublicStream
 */

const NOTHING = new Float32Array(0);

/** @implements {PublicStream} */
export class Stream {
  #parts;
  #recognition;
  #conditioning;
  /** @type {Resampler | null} */
  #resampler = null;
  #rate;
  #resampled = NOTHING; // conditioned once a chunk can be completed
  #waiting = NOTHING; // conditioned, less than a chunk
  #accepted = 0; // samples at the source's rate; the resampler holds some of them
  #processed = 0; // samples at the model's rate
  #ended = false; // whether `finish` has been called
  /** @type {Promise<unknown>} */
  #queue = Promise.resolve();

  /**
   * @param {Parts} parts
   * @param {import("./recognizer.d.ts").StreamOptions} options
   */
  constructor(parts, { sampleRate, fastPartials = false, chunkMs }) {
    if (chunkMs !== undefined) parts = { ...parts, chunkSamples: chunkSamples(parts.manifest.audio, chunkMs) };
    this.#parts = parts;
    this.#recognition = new Recognition(parts, fastPartials);
    this.#conditioning = parts.conditioner.initialState();
    this.#rate = parts.manifest.audio.sample_rate;
    if (sampleRate !== undefined) this.#useRate(sampleRate);
  }

  get secondsProcessed() {
    return this.#accepted / this.#rate;
  }

  get segmentStart() {
    return this.#recognition.segmentStart;
  }

  get speechLevel() {
    return this.#conditioning.level.speech;
  }

  get levelWarning() {
    const { speech, known } = this.#conditioning.level;
    if (speech === null || !known || speech >= LOW_SPEECH_LEVEL) return "";
    const level = Math.round(speech);
    return `the speech is very quiet (${level} dB of full scale): raise the gain or go nearer to the microphone`;
  }

  /** @param {Record<string, number>} hotWords */
  setHotWords(hotWords) {
    this.#recognition.setHotWords(hotWords);
  }

  /**
   * @param {Float32Array} samples
   * @param {number} [sampleRate]
   * @returns {Promise<Event[]>}
   */
  async accept(samples, sampleRate) {
    this.#requireOpen();
    const mono = clip(samples);
    if (sampleRate !== undefined || !this.#resampler) this.#useRate(sampleRate ?? this.#rate);
    const arrived = performance.now();
    return this.#inTurn(() => {
      this.#recognition.arrived = arrived;
      this.#accepted += mono.length;
      return this.#process(this.#openResampler().step(mono));
    });
  }

  /** @returns {Promise<Event[]>} */
  async endSegment() {
    this.#requireOpen();
    const arrived = performance.now();
    return this.#inTurn(() => {
      this.#recognition.arrived = arrived;
      const held = this.#parts.conditioner.step(this.#resampled, this.#conditioning, true).samples;
      return this.#recognition.endSegment(concatenate([this.#waiting, held]));
    });
  }

  /** @returns {Promise<Event[]>} */
  async finish() {
    if (this.#ended) return [];
    this.#ended = true;
    const arrived = performance.now();
    return this.#inTurn(async () => {
      const { conditioner, chunkSamples: size, manifest: { audio } } = this.#parts; // prettier-ignore
      const recognition = this.#recognition;
      recognition.arrived = arrived;
      const rest = this.#resampler ? this.#resampler.step(NOTHING, true) : NOTHING;
      const events = await this.#process(rest, true);
      const frames = recognition.framesOf(this.#processed);
      recognition.endRecording(this.#waiting.length);
      while (recognition.framesDecoded < frames) {
        const position = recognition.samplesInModel + this.#waiting.length;
        const left = (frames + audio.delay_frames) * audio.frame_samples - recognition.samplesInModel;
        const silence = conditioner.silence(position, stepSamples(audio, size, left) - this.#waiting.length);
        const chunk = concatenate([this.#waiting, silence]);
        this.#waiting = NOTHING;
        events.push(...(await recognition.advance(chunk, frames - recognition.framesDecoded)));
      }
      return [...events, ...recognition.finishSegment()];
    });
  }

  /**
   * @param {Float32Array} samples At the model's rate.
   * @param {boolean} last
   */
  async #process(samples, last = false) {
    const { conditioner, chunkSamples: size, manifest } = this.#parts;
    const recognition = this.#recognition;
    this.#processed += samples.length;
    recognition.secondsResampled = this.#processed / manifest.audio.sample_rate;
    this.#resampled = concatenate([this.#resampled, samples]);
    const available = this.#waiting.length + this.#conditioning.pending.length + this.#resampled.length;
    if (available < size && !last) return [];
    const conditioned = conditioner.step(this.#resampled, this.#conditioning, last);
    this.#resampled = NOTHING;
    this.#conditioning = conditioned.state;
    this.#waiting = concatenate([this.#waiting, conditioned.samples]);
    /** @type {Event[]} */
    const events = [];
    while (this.#waiting.length >= size) {
      const chunk = this.#waiting.slice(0, size);
      this.#waiting = this.#waiting.slice(size);
      events.push(...(await recognition.advance(chunk)));
      events.push(...(await recognition.lookAhead()));
    }
    return events;
  }

  /**
   * Run a task after those before it, whether or not they failed.
   *
   * @param {() => Promise<Event[]>} task
   */
  #inTurn(task) {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }

  /** @param {number} rate */
  #useRate(rate) {
    if (!this.#resampler) {
      this.#resampler = new Resampler(rate, this.#parts.manifest.audio.sample_rate);
      this.#rate = rate;
    } else if (rate !== this.#rate) {
      throw audioError(`samples at ${rate} Hz in a stream of ${this.#rate} Hz; begin a new stream for another rate`);
    }
  }

  #openResampler() {
    return /** @type {Resampler} */ (this.#resampler);
  }

  #requireOpen() {
    if (this.#ended) throw usageError("the stream is finished; begin a new one with createStream()");
  }
}

/**
 * A copy of the samples, clipped to [-1, 1].
 *
 * @param {Float32Array} samples
 * @throws {EdgespeechError} They are not a Float32Array, or contain NaN or infinity.
 */
function clip(samples) {
  if (!(samples instanceof Float32Array)) throw audioError("samples are not a Float32Array; wanted mono samples in [-1, 1]");
  const clipped = samples.slice();
  for (let at = 0; at < clipped.length; at++) {
    const sample = clipped[at];
    if (sample >= -1 && sample <= 1) continue;
    if (!Number.isFinite(sample)) throw audioError(`sample ${at} is ${sample}; wanted samples in [-1, 1]; repair the source`);
    clipped[at] = sample > 0 ? 1 : -1;
  }
  return clipped;
}
