/**
 * Conversion of one mono stream to another sample rate: a windowed sinc in polyphase form.
 *
 * Much higher rates are halved first. The pass band ends at 0.913 of the lower Nyquist frequency and the stop band begins at it, as in the quality HQ of
 * soxr, which the Python package uses; beyond it, signals are 100 dB down.
 */

import { audioError } from "../errors.js";
import { Halver } from "./halver.js";
import { besselI0, kaiserBeta, REJECTION } from "./kaiser.js";

const MIN_RATE = 1000; // Hz
const MAX_RATE = 768000;
const PASS = 0.913; // of the lower Nyquist frequency
const MIN_HALVED = 2.5; // times the rate of the output: halving the rate first takes half the time
const MAX_PHASES = 1024; // for unusual ratios, coefficients are interpolated between so many: 118 dB down

export class Resampler {
  #equal;
  /** @type {Halver[]} */
  #halvers = [];
  #step; // input samples per output sample, as a fraction: #step / #scale
  #scale;
  #phases;
  #taps; // of a phase
  /** @type {Float64Array} [phases + 1, taps] */
  #filter;
  #audio = new Float64Array(4096);
  #size; // samples in #audio, the first of which belong to the past
  #at = 0; // position in #audio of the first sample for the next output
  #rest = 0; // numerator of the fraction of a sample by which the next output is later
  #ratio; // of the rates, before any is halved
  #received = 0; // input samples of the stream
  #returned = 0; // output samples of the stream

  /**
   * @param {number} fromRate Hz of the input.
   * @param {number} toRate Hz of the output.
   * @throws {EdgespeechError} A rate is not a whole number from 1000 to 768000 Hz.
   */
  constructor(fromRate, toRate) {
    for (const rate of [fromRate, toRate]) {
      if (!(Number.isInteger(rate) && rate >= MIN_RATE && rate <= MAX_RATE)) {
        throw audioError(`sample rate ${rate} Hz; wanted a whole number from ${MIN_RATE} to ${MAX_RATE}; correct it`);
      }
    }
    this.#equal = fromRate === toRate;
    this.#ratio = { from: fromRate, to: toRate };
    while (fromRate >= MIN_HALVED * toRate && fromRate % 2 === 0) {
      this.#halvers.push(new Halver(toRate / 2 / fromRate));
      fromRate /= 2;
    }
    const divisor = greatestDivisor(fromRate, toRate);
    this.#step = fromRate / divisor;
    this.#scale = toRate / divisor;
    this.#phases = Math.min(this.#scale, MAX_PHASES);
    const band = Math.min(1, toRate / fromRate); // the lower Nyquist frequency, as a fraction of that of the input
    const half = Math.ceil((REJECTION - 8) / (2.285 * Math.PI * (1 - PASS) * band) / 2);
    this.#taps = 4 * Math.ceil(half / 2);
    this.#filter = makeFilter(this.#phases, this.#taps, (band * (1 + PASS)) / 2);
    this.#size = this.#taps / 2 - 1; // the first output belongs to the first input
  }

  /**
   * Convert the samples that are ready; the result does not depend on how the input is cut.
   *
   * @param {Float32Array} samples In [-1, 1].
   * @param {boolean} last Whether the stream ends; what the filter still holds is returned.
   * @returns {Float32Array} Over a whole stream of n samples, ceil(n * toRate / fromRate) of them, clipped to [-1, 1].
   */
  step(samples, last = false) {
    if (this.#equal) return samples;
    this.#received += samples.length;
    for (const halver of this.#halvers) samples = halver.step(samples, last);
    this.#append(samples);
    if (last) this.#append(new Float32Array(this.#taps));
    const available = Math.floor(((this.#size - this.#taps - this.#at) * this.#scale - this.#rest) / this.#step) + 1;
    const total = Math.ceil((this.#received * this.#ratio.to) / this.#ratio.from);
    const count = Math.max(0, Math.min(available, total - this.#returned));
    const out = new Float32Array(count);
    this.#returned += count;
    for (let index = 0; index < count; index++) {
      out[index] = Math.max(-1, Math.min(1, this.#interpolate()));
      this.#rest += this.#step;
      const whole = Math.floor(this.#rest / this.#scale);
      this.#rest -= whole * this.#scale;
      this.#at += whole;
    }
    return out;
  }

  #interpolate() {
    if (this.#phases === this.#scale) return this.#convolve(this.#rest);
    const phase = (this.#rest * this.#phases) / this.#scale;
    const row = Math.floor(phase);
    const before = this.#convolve(row);
    return before + (phase - row) * (this.#convolve(row + 1) - before);
  }

  /** @param {number} phase */
  #convolve(phase) {
    const audio = this.#audio;
    const filter = this.#filter;
    let at = this.#at;
    let tap = phase * this.#taps;
    const end = tap + this.#taps;
    let one = 0;
    let two = 0;
    let three = 0;
    let four = 0;
    for (; tap < end; tap += 4, at += 4) {
      one += audio[at] * filter[tap];
      two += audio[at + 1] * filter[tap + 1];
      three += audio[at + 2] * filter[tap + 2];
      four += audio[at + 3] * filter[tap + 3];
    }
    return one + two + (three + four);
  }

  /** @param {Float32Array} samples */
  #append(samples) {
    if (this.#size + samples.length > this.#audio.length) {
      const kept = this.#audio.subarray(Math.min(this.#at, this.#size), this.#size);
      const needed = kept.length + samples.length;
      const target = 2 * needed > this.#audio.length ? new Float64Array(4 * needed) : this.#audio;
      target.set(kept);
      this.#at -= this.#size - kept.length;
      this.#size = kept.length;
      this.#audio = target;
    }
    this.#audio.set(samples, this.#size);
    this.#size += samples.length;
  }
}

/**
 * @param {number} phases
 * @param {number} taps
 * @param {number} cutoff As a fraction of the Nyquist frequency of the input.
 */
function makeFilter(phases, taps, cutoff) {
  const filter = new Float64Array((phases + 1) * taps);
  const beta = kaiserBeta();
  const scale = besselI0(beta);
  for (let phase = 0; phase <= phases; phase++) {
    const row = filter.subarray(phase * taps, (phase + 1) * taps);
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const time = tap - (taps / 2 - 1) - phase / phases; // samples of the input
      const angle = Math.PI * cutoff * time;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const edge = (2 * time) / taps;
      row[tap] = Math.abs(edge) < 1 ? (sinc * besselI0(beta * Math.sqrt(1 - edge * edge))) / scale : 0;
      sum += row[tap];
    }
    for (let tap = 0; tap < taps; tap++) row[tap] /= sum;
  }
  return filter;
}

/**
 * @param {number} one
 * @param {number} other
 */
function greatestDivisor(one, other) {
  while (other) [one, other] = [other, one % other];
  return one;
}
