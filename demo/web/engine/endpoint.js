/**
 * Endpoints: rules about silence and length that cut a stream into segments without changing the acoustic state.
 *
 * A segment ends only at a frame whose most probable label is the blank: CTC merges equal neighbours, so the most
 * probable labels of the segments, joined, equal those of the whole stream.
 */

import { roundHalfEven } from "./numbers.js";

const SILENCE_LEVEL = -70; // dB of full scale; audio below it is silence, whatever the model outputs
const MIN_POWER = 1e-10;

/**
 * Facts about the segment so far: whether any frame's most probable label was not the blank, silent frames at the end,
 * frames, whether the last label that is not the blank ends a word, and whether the last frame's is the blank.
 *
 * @typedef {{spoke: boolean, silentFrames: number, frames: number, betweenWords: boolean, atBlank: boolean}} EndpointState
 */

export class Endpointer {
  #labels;
  #blank;
  #wordEnds;
  #afterSpeech;
  #beforeSpeech;
  #longest;

  /**
   * @param {number} frameSeconds
   * @param {readonly string[]} labels
   * @param {number} blank
   * @param {import("./options.js").EndpointRules} rules
   */
  constructor(frameSeconds, labels, blank, rules) {
    this.#labels = labels.length;
    this.#blank = blank;
    this.#wordEnds = labels.map((text) => text.endsWith(" "));
    const frames = (/** @type {number} */ seconds) =>
      seconds === Infinity ? Infinity : Math.max(1, roundHalfEven(seconds / frameSeconds));
    this.#afterSpeech = frames(rules.endpointSeconds);
    this.#beforeSpeech = frames(rules.emptySeconds);
    this.#longest = frames(rules.longestSeconds);
  }

  /** @returns {EndpointState} The state before the first frame of a segment. */
  initialState() {
    return { spoke: false, silentFrames: 0, frames: 0, betweenWords: true, atBlank: false };
  }

  /**
   * Process new frames. A frame is silent if its most probable label is the blank or its level is too low.
   *
   * @param {Float32Array} logProbs [frames, labels]
   * @param {number[]} levels Of these frames or more, from `frameLevels`.
   * @param {EndpointState} state
   * @returns {{ended: number | null, state: EndpointState}} Number of frames including the one that ends the segment,
   *   null if none does, and the next state.
   */
  step(logProbs, levels, state) {
    const frames = logProbs.length / this.#labels;
    for (let frame = 0; frame < frames; frame++) {
      const label = this.#mostProbable(logProbs, frame);
      const blank = label === this.#blank;
      state = {
        spoke: state.spoke || !blank,
        silentFrames: blank || levels[frame] < SILENCE_LEVEL ? state.silentFrames + 1 : 0,
        frames: state.frames + 1,
        betweenWords: blank ? state.betweenWords : this.#wordEnds[label],
        atBlank: blank,
      };
      const enough = state.betweenWords ? this.#longest : 2 * this.#longest;
      if (blank && (this.#isSilence(state) || state.frames >= enough)) return { ended: frame + 1, state };
    }
    return { ended: null, state };
  }

  /**
   * Whether this many more silent frames would end the segment, at the last of them.
   *
   * @param {EndpointState} state
   * @param {number} frames
   */
  mayEnd(state, frames) {
    return state.atBlank && this.#isSilence(state, frames);
  }

  /**
   * Whether the frames still inside the look-ahead already end the segment.
   *
   * @param {Float32Array} logProbs Their outputs [frames, labels] if silence follows.
   * @param {number[]} levels
   * @param {EndpointState} state
   */
  endsEarly(logProbs, levels, state) {
    const frames = logProbs.length / this.#labels;
    let silent = 0;
    while (silent < frames) {
      if (this.#mostProbable(logProbs, silent) !== this.#blank && levels[silent] >= SILENCE_LEVEL) break;
      silent++;
    }
    return this.mayEnd(state, silent);
  }

  /**
   * @param {EndpointState} state
   * @param {number} more
   */
  #isSilence(state, more = 0) {
    return state.silentFrames + more >= (state.spoke ? this.#afterSpeech : this.#beforeSpeech);
  }

  /**
   * @param {Float32Array} logProbs
   * @param {number} frame
   */
  #mostProbable(logProbs, frame) {
    const start = frame * this.#labels;
    let best = 0;
    for (let label = 1; label < this.#labels; label++) if (logProbs[start + label] > logProbs[start + best]) best = label;
    return best;
  }
}

/**
 * The level of each frame in dB of full scale, at least -100.
 *
 * @param {Float32Array} samples [frames * frameSamples]
 * @param {number} frameSamples
 */
export function frameLevels(samples, frameSamples) {
  const levels = [];
  for (let begin = 0; begin < samples.length; begin += frameSamples) {
    let power = 0;
    for (let at = begin; at < begin + frameSamples; at++) power += samples[at] * samples[at];
    levels.push(Math.fround(10 * Math.log10(Math.max(power / frameSamples, MIN_POWER))));
  }
  return levels;
}
