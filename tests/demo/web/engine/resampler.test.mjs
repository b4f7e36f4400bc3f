import assert from "node:assert/strict";
import { test } from "node:test";

import { Resampler } from "../../../../demo/web/engine/audio/resampler.js";

const NOTHING = new Float32Array(0);
const RATES = [8000, 11025, 22050, 32000, 44100, 44101, 48000, 96000, 192000];

const tone = (hertz, rate, count) =>
  Float32Array.from({ length: count }, (_, at) => 0.5 * Math.sin((2 * Math.PI * hertz * at) / rate));

const convert = (samples, from, to = 16000) => new Resampler(from, to).step(samples, true);

// Largest difference from a tone of half of full scale, in dB below it, away from both ends.
function error(found, wanted) {
  let largest = 0;
  for (let at = 400; at < found.length - 400; at++) largest = Math.max(largest, Math.abs(found[at] - wanted[at]));
  return 20 * Math.log10(largest / 0.5);
}

for (const rate of RATES) {
  const nyquist = Math.min(rate, 16000) / 2;

  test(`${rate} Hz: the pass band is flat and without delay`, () => {
    for (const part of [0.01, 0.3, 0.6, 0.9]) {
      const hertz = Math.round(nyquist * part);
      const found = convert(tone(hertz, rate, rate), rate);
      assert.ok(error(found, tone(hertz, 16000, found.length)) < -90, `${hertz} Hz`);
    }
  });

  test(`${rate} Hz: what lies beyond the lower Nyquist frequency is 95 dB down`, () => {
    if (rate <= 16000) return;
    for (const part of [1.003, 1.1, 1.6, 1.97]) {
      const hertz = Math.round(nyquist * part);
      if (hertz >= rate / 2) continue;
      const found = convert(tone(hertz, rate, rate), rate);
      assert.ok(error(found, new Float32Array(found.length)) < -95, `${hertz} Hz`);
    }
  });

  test(`${rate} Hz: blocks of any length give the whole`, () => {
    const input = tone(700, rate, 20011).map((sample, at) => sample + (at % 977 === 0 ? 0.4 : 0));
    const whole = convert(input, rate);
    assert.equal(whole.length, Math.ceil((input.length * 16000) / rate));
    for (const block of [1, 128, 999, 16384]) {
      const resampler = new Resampler(rate, 16000);
      const pieces = [];
      for (let at = 0; at < input.length; at += block) pieces.push(...resampler.step(input.subarray(at, at + block)));
      pieces.push(...resampler.step(NOTHING, true));
      assert.deepEqual(Float32Array.from(pieces), whole);
    }
  });
}

test("images of a lower rate are removed", () => {
  const found = convert(tone(3000, 8000, 8000), 8000);
  assert.ok(error(found, tone(3000, 16000, found.length)) < -90); // the image would be at 5000 Hz
});

test("equal rates change nothing", () => {
  const samples = tone(440, 16000, 1000);
  assert.deepEqual(convert(samples, 16000), samples);
});

test("overshoots are clipped", () => {
  const square = Float32Array.from({ length: 48000 }, (_, at) => (Math.floor(at / 240) % 2 ? 1 : -1));
  const found = convert(square, 48000);
  assert.equal(found.reduce((largest, sample) => Math.max(largest, Math.abs(sample)), 0), 1);
});

test("very short streams", () => {
  for (const count of [0, 1, 2, 3]) {
    assert.equal(convert(new Float32Array(count), 48000).length, Math.ceil(count / 3));
    assert.equal(convert(new Float32Array(count), 8000).length, 2 * count);
  }
});

test("invalid rates are refused", () => {
  for (const rate of [0, -1, 999, 768001, 16000.5, NaN, Infinity, "16000"]) {
    assert.throws(() => new Resampler(rate, 16000), { name: "AudioError", message: /wanted a whole number from 1000 to/ });
  }
});
