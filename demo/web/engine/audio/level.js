/** Level of the speech in a stream, and the gain for quiet speech, block by block. */

import { roundHalfEven } from "../numbers.js";

const NORMAL_LEVEL = -35; // dB of full scale; the loudest speech at this level or above is left as it is
const QUIET_TARGET = -25; // dB; quieter speech is raised to at most this
const MAX_GAIN = 50; // dB
/** dB of full scale; below it, little is left of 16-bit samples. */
export const LOW_SPEECH_LEVEL = -60;

const SLOPE = 2; // dB of gain per dB below the normal level, so that the gain has no jump there
const ACTIVITY = 12; // dB above the noise floor that make a block speech
const FLOOR_RISE = 6; // dB per second
const RELEASE = 2; // dB per second of speech
const LOWEST_FLOOR = -90; // dB; after digital silence, faint noise must not count as speech
const HOLD_SECONDS = 0.6; // after which the level of the first speech counts as known
const RUMBLE_BLOCKS = 50; // 1.5 s of the default model: such speech has a pause, hum and an offset have none
const MIN_RUMBLE_BLOCKS = 10;
const RUMBLE_LEVEL = -57; // dB
const RUMBLE_BELOW_SPEECH = 28; // dB

/**
 * Facts about the stream so far, in dB of full scale: noise floor (null before the first block), level of the loudest
 * recent speech (null before any), blocks since the first one of speech (at most 0.6 s), whether the level of the
 * speech counts as known, and the lowest levels of low frequencies of the last 1.5 s. Never changed in place.
 *
 * @typedef {{floor: number | null, speech: number | null, speechBlocks: number, known: boolean, rumble: number[]}} Level
 */

/** @type {Level} */
export const NO_LEVEL = { floor: null, speech: null, speechBlocks: 0, known: false, rumble: [] };

/**
 * Gain in dB for a block, exactly 0 for speech at a normal level.
 *
 * @param {Level} level
 */
export function gainOf({ known, speech }) {
  if (!known || speech === null) return 0;
  return Math.min(MAX_GAIN, Math.max(0, Math.min(QUIET_TARGET - speech, SLOPE * (NORMAL_LEVEL - speech))));
}

/**
 * Whether low frequencies are constantly so strong that they have to be removed.
 *
 * @param {Level} level
 */
export function rumbles({ rumble, speech }) {
  if (rumble.length < MIN_RUMBLE_BLOCKS) return false;
  const limit = speech === null ? RUMBLE_LEVEL : Math.min(RUMBLE_LEVEL, speech - RUMBLE_BELOW_SPEECH);
  return rumble.every((one) => one > limit);
}

/**
 * The noise floor after a block of this level and length; `floor` is that before it, null at first.
 *
 * @param {number} level
 * @param {number | null} floor
 * @param {number} seconds
 */
export const nextFloor = (level, floor, seconds) =>
  Math.max(LOWEST_FLOOR, floor === null ? level : Math.min(level, floor + FLOOR_RISE * seconds));

/**
 * Count one block: its level without, and its level of low frequencies alone, in dB.
 *
 * @param {number} level
 * @param {number} rumble
 * @param {Level} before
 * @param {number} seconds Length of the block.
 * @returns {Level}
 */
export function stepLevel(level, rumble, before, seconds) {
  const hold = roundHalfEven(HOLD_SECONDS / seconds);
  const floor = nextFloor(level, before.floor, seconds);
  let { speech } = before;
  let speechBlocks = Math.min(before.speechBlocks + (before.speechBlocks > 0 ? 1 : 0), hold);
  if (level > floor + ACTIVITY || level >= NORMAL_LEVEL) {
    speech = speech === null ? level : Math.max(level, speech - RELEASE * seconds);
    speechBlocks = Math.max(1, speechBlocks);
  }
  const known = before.known || (speech !== null && (speech >= NORMAL_LEVEL || speechBlocks >= hold));
  return { floor, speech, speechBlocks, known, rumble: [...before.rumble, rumble].slice(-RUMBLE_BLOCKS) };
}
