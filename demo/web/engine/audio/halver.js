/** Half of a sample rate, by a half-band filter: every second coefficient but the middle one is zero. */

import { besselI0, kaiserBeta, REJECTION } from "./kaiser.js";

export class Halver {
  #reach; // samples on each side of an output
  #coefficients; // of the samples at the distances 1, 3, 5 and so on
  #past;

  /** @param {number} band Highest frequency that must pass, as a fraction of the sample rate, below 0.25. */
  constructor(band) {
    const width = 2 * Math.PI * (0.5 - 2 * band); // of the transition
    const count = Math.ceil((REJECTION - 8) / (2.285 * width) / 4) + 2; // the estimate is low for short filters
    this.#reach = 2 * count - 1;
    const beta = kaiserBeta();
    const taps = Float64Array.from({ length: count }, (_, at) => {
      const distance = 2 * at + 1;
      const window = besselI0(beta * Math.sqrt(1 - (distance / (this.#reach + 1)) ** 2)) / besselI0(beta);
      return (Math.sin((Math.PI * distance) / 2) / (Math.PI * distance)) * window;
    });
    const sum = taps.reduce((total, tap) => total + tap, 0);
    this.#coefficients = taps.map((tap) => tap / (4 * sum)); // both sides together have the weight of the middle
    this.#past = new Float64Array(this.#reach);
  }

  /**
   * @param {Float32Array} samples
   * @param {boolean} last Whether the stream ends; what the filter still holds is returned.
   * @returns {Float32Array} Output k of a stream belongs to its input 2 k.
   */
  step(samples, last = false) {
    const reach = this.#reach;
    const audio = new Float64Array(this.#past.length + samples.length + (last ? reach : 0));
    audio.set(this.#past);
    audio.set(samples, this.#past.length);
    const coefficients = this.#coefficients;
    const out = new Float32Array(Math.max(0, Math.ceil((audio.length - 2 * reach) / 2)));
    for (let index = 0, middle = reach; index < out.length; index++, middle += 2) {
      let sum = 0.5 * audio[middle];
      for (let at = 0, distance = 1; at < coefficients.length; at++, distance += 2) {
        sum += coefficients[at] * (audio[middle - distance] + audio[middle + distance]);
      }
      out[index] = sum;
    }
    this.#past = audio.slice(2 * out.length);
    return out;
  }
}
