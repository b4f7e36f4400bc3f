/**
 * The steps between resampling and the model, frame by frame from the beginning of the stream: hum and offsets are
 * removed, quiet speech is amplified, digital silence is filled. Speech at a normal level without hum passes unchanged.
 */

import { roundHalfEven } from "../numbers.js";
import { concatenate } from "./arrays.js";
import { HighPass } from "./high_pass.js";
import { gainOf, NO_LEVEL, rumbles, stepLevel } from "./level.js";
import { standardNormal } from "./noise.js";

/**
 * Samples that have not been returned; the whole blocks at their beginning, high-passed; level of the speech so far;
 * gain in dB of the last block, and whether it was returned high-passed (null before the first one); and the state of
 * the high-pass (null before the first block).
 *
 * @typedef {{
 *   pending: Float32Array, filtered: Float32Array, level: import("./level.js").Level, mode: Mode,
 *   filter: Float64Array | null,
 * }} ConditioningState
 * @typedef {{gain: number, isFiltered: boolean | null}} Mode
 */

const FAINT_NOISE = Math.fround(10 ** (-71 / 20)); // root mean square
const NOISE_SAMPLES = 2 ** 16;
const CUTOFF = 80; // Hz
const ORDER = 8;
const PRE_ROLL_SECONDS = 0.3; // held back until the level is known, so that the gain does not jump at the first word
const MEAN_SECONDS = 0.01; // the power of means over this is that of an offset and of most of a hum
const MIN_POWER = 1e-12;
const RAMP = 80; // samples in which the gain changes
const FADE = Float32Array.from({ length: RAMP }, (_, at) => at / (RAMP - 1));
const NOTHING = new Float32Array(0);

/** @type {Float32Array | null} */
let noise = null; // takes a tenth of a second, so made when it is first needed

export class Conditioner {
  #block;
  #seconds;
  #means = 1;
  #preRoll;
  #highPass;

  /**
   * @param {number} sampleRate Hz.
   * @param {number} frameSamples Samples per frame of the acoustic model.
   */
  constructor(sampleRate, frameSamples) {
    this.#block = frameSamples;
    this.#seconds = frameSamples / sampleRate;
    for (let count = 1; count <= frameSamples / (MEAN_SECONDS * sampleRate); count++) {
      if (frameSamples % count === 0) this.#means = count;
    }
    this.#preRoll = roundHalfEven(PRE_ROLL_SECONDS / this.#seconds);
    this.#highPass = new HighPass(sampleRate, CUTOFF, ORDER);
    noise ??= standardNormal(NOISE_SAMPLES).map((number) => number * FAINT_NOISE);
  }

  /** @returns {ConditioningState} The state before the first sample. */
  initialState() {
    return { pending: NOTHING, filtered: NOTHING, level: NO_LEVEL, mode: { gain: 0, isFiltered: null }, filter: null };
  }

  /**
   * Condition samples, and return those that are ready. The result does not depend on how the samples are cut.
   *
   * Until the level of the speech is known, the last 0.3 s are held back, and up to 0.6 s of the first speech if it is
   * quiet; afterwards nothing but the beginning of a frame.
   *
   * @param {Float32Array} samples
   * @param {ConditioningState} before It is not changed.
   * @param {boolean} last Whether to return all that is pending.
   * @returns {{samples: Float32Array, state: ConditioningState}}
   */
  step(samples, before, last = false) {
    const size = this.#block;
    const counted = before.filtered.length;
    const audio = concatenate([before.pending, samples]);
    const whole = Math.floor(audio.length / size);
    const fresh = this.#filter(audio.subarray(counted, last ? audio.length : whole * size), before.filter);
    const filtered = concatenate([before.filtered, fresh.samples]);
    let { level, mode } = before;
    let done = 0;
    /** @type {Float32Array[]} */
    const out = [];
    const apply = (/** @type {number} */ begin) => {
      const end = Math.min(begin + size, audio.length);
      const after = { gain: gainOf(level), isFiltered: rumbles(level) };
      out.push(condition(audio.subarray(begin, end), filtered.subarray(begin, end), mode, after));
      mode = after;
    };
    for (let block = counted / size; block < whole; block++) {
      const begin = block * size;
      const [loudness, rumble] = this.#measure(audio.subarray(begin, begin + size), filtered.subarray(begin, begin + size));
      level = stepLevel(loudness, rumble, level, this.#seconds);
      const ready = level.known ? block + 1 : Math.max(done, block + 1 - level.speechBlocks - this.#preRoll);
      for (; done < ready; done++) apply(done * size);
    }
    if (last) {
      level = { ...level, known: true };
      for (let begin = done * size; begin < audio.length; begin += size) apply(begin);
      return { samples: concatenate(out), state: { ...this.initialState(), level } };
    }
    const pending = audio.slice(done * size);
    const state = { pending, filtered: filtered.slice(done * size), level, mode, filter: fresh.state };
    return { samples: concatenate(out), state };
  }

  /**
   * Replace frames of zeros by faint noise: the model has never seen digital silence after speech, and loses the last
   * word before it.
   *
   * @param {Float32Array} chunk [frames * frameSamples], changed in place.
   * @param {number} position Sample of the stream at which it begins.
   */
  fillSilence(chunk, position) {
    for (let begin = 0; begin < chunk.length; begin += this.#block) {
      const block = chunk.subarray(begin, begin + this.#block);
      if (block.every((sample) => sample === 0)) block.set(this.silence(position + begin, block.length));
    }
    return chunk;
  }

  /**
   * What stands for silence from this sample of a stream on.
   *
   * @param {number} position
   * @param {number} count
   */
  silence(position, count) {
    const source = /** @type {Float32Array} */ (noise);
    const samples = new Float32Array(count);
    for (let at = 0; at < count; at++) samples[at] = source[(position + at) % NOISE_SAMPLES];
    return samples;
  }

  /**
   * @param {Float32Array} samples
   * @param {Float64Array | null} state
   */
  #filter(samples, state) {
    if (!samples.length) return { samples: NOTHING, state };
    if (state === null) {
      const first = samples.subarray(0, this.#block);
      state = this.#highPass.settled(first.reduce((sum, sample) => sum + sample, 0) / first.length);
    }
    return this.#highPass.step(samples, state);
  }

  /**
   * The level of a block in dB without low frequencies, and that of low frequencies alone.
   *
   * @param {Float32Array} block
   * @param {Float32Array} filtered
   */
  #measure(block, filtered) {
    let power = 0;
    for (let at = 0; at < filtered.length; at++) power += filtered[at] * filtered[at];
    power /= filtered.length;
    return [decibels(power - this.#lowPower(filtered)), decibels(this.#lowPower(block))];
  }

  /** @param {Float32Array} block */
  #lowPower(block) {
    const length = block.length / this.#means;
    let power = 0;
    for (let begin = 0; begin < block.length; begin += length) {
      let sum = 0;
      for (let at = begin; at < begin + length; at++) sum += block[at];
      power += (sum / length) ** 2;
    }
    return power / this.#means;
  }
}

/**
 * Choose the block or its high-passed version, and amplify it; a change fades in.
 *
 * @param {Float32Array} block
 * @param {Float32Array} filtered
 * @param {Mode} before
 * @param {Mode} after
 */
function condition(block, filtered, before, after) {
  let chosen = after.isFiltered ? filtered : block;
  if (before.isFiltered !== null && after.isFiltered !== before.isFiltered) {
    chosen = fade(after.isFiltered ? block : filtered, chosen);
  }
  if (after.gain || before.gain) chosen = fade(amplify(chosen, before.gain), amplify(chosen, after.gain));
  return chosen;
}

/**
 * @param {Float32Array} samples
 * @param {number} gain dB
 */
function amplify(samples, gain) {
  const factor = Math.fround(10 ** (gain / 20));
  return samples.map((sample) => sample * factor);
}

/**
 * @param {Float32Array} before
 * @param {Float32Array} after
 */
function fade(before, after) {
  const faded = after.slice();
  for (let at = 0; at < Math.min(RAMP, after.length); at++) {
    faded[at] = Math.fround(before[at] * Math.fround(1 - FADE[at])) + Math.fround(after[at] * FADE[at]);
  }
  return faded;
}

/** @param {number} power */
const decibels = (power) => 10 * Math.log10(Math.max(power, MIN_POWER));
