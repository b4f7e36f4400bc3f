/** Butterworth high-pass filter as a cascade of biquads; its state is a value that callers keep. */

export class HighPass {
  #sections;

  /**
   * @param {number} sampleRate Hz.
   * @param {number} cutoff Frequency in Hz of which half the power remains.
   * @param {number} order Even.
   */
  constructor(sampleRate, cutoff, order) {
    const angle = (2 * Math.PI * cutoff) / sampleRate;
    // Bilinear transform (R. Bristow-Johnson, Audio EQ Cookbook).
    this.#sections = Array.from({ length: order / 2 }, (_, k) => {
      const quality = 1 / (2 * Math.cos((Math.PI * (2 * k + 1)) / (2 * order)));
      const alpha = Math.sin(angle) / (2 * quality);
      return {
        b: (1 + Math.cos(angle)) / 2 / (1 + alpha), // the coefficients are b, -2 b and b
        a1: (-2 * Math.cos(angle)) / (1 + alpha),
        a2: (1 - alpha) / (1 + alpha),
      };
    });
  }

  /**
   * The state after a constant input of this value; the output is then zero.
   *
   * @param {number} sample
   */
  settled(sample) {
    const state = new Float64Array(2 * this.#sections.length);
    const [{ b }] = this.#sections;
    state[0] = -b * sample;
    state[1] = b * sample;
    return state;
  }

  /**
   * @param {Float32Array} samples
   * @param {Float64Array} before State; it is not changed.
   * @returns {{samples: Float32Array, state: Float64Array}}
   */
  step(samples, before) {
    const state = before.slice();
    const signal = Float64Array.from(samples);
    this.#sections.forEach(({ b, a1, a2 }, section) => {
      let one = state[2 * section];
      let two = state[2 * section + 1];
      for (let at = 0; at < signal.length; at++) {
        const x = signal[at];
        const y = b * x + one;
        one = -2 * b * x - a1 * y + two;
        two = b * x - a2 * y;
        signal[at] = y;
      }
      state[2 * section] = one;
      state[2 * section + 1] = two;
    });
    return { samples: Float32Array.from(signal), state };
  }
}
