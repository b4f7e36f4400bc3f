// Sound like speech, made by arithmetic that is the same on every machine: pulses and noise through three resonators
// whose frequencies change with every sound, and pauses between words.

const RATE = 16000;

export function voice(seconds) {
  const random = lehmer(20);
  const samples = new Float32Array(seconds * RATE);
  let at = 0;
  while (at < samples.length) {
    const end = Math.min(samples.length, at + Math.floor(RATE * (0.05 + 0.15 * random())));
    const pause = random() < 0.15;
    const voiced = random() < 0.7;
    const period = Math.floor(90 + 80 * random());
    const resonators = [0.02 + 0.08 * random(), 0.1 + 0.2 * random(), 0.3 + 0.3 * random()].map((angle) => ({
      // 2 cos of the angle by its series; the poles have the radius 0.97.
      feedback: 0.97 * (2 - angle * angle * (1 - (angle * angle) / 12)),
      one: 0,
      two: 0,
    }));
    for (; at < end; at++) {
      const source = pause ? 0 : voiced ? (at % period === 0 ? 1 : 0) : 0.2 * (random() - 0.5);
      let sum = 0;
      for (const state of resonators) {
        const value = source + state.feedback * state.one - 0.9409 * state.two;
        state.two = state.one;
        state.one = value;
        sum += value;
      }
      samples[at] = 0.05 * sum + 0.001 * (random() - 0.5);
    }
  }
  return samples;
}

function lehmer(seed) {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}
