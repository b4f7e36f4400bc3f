/** Settings of a recognizer: those of the bundle unless others are given, checked once. */

import { usageError } from "./errors.js";

/**
 * Settings of the search, none of which is left out. Infinity removes the limits of `maxSymbols`, `beamThreshold` and
 * `maxTentative`.
 *
 * @typedef {{
 *   beamWidth: number, alpha: number, beta: number, unknownScore: number, fillerScore: number,
 *   unit: "word" | "character" | null, symbolMass: number, maxSymbols: number, beamThreshold: number,
 *   maxTentative: number, confidencePower: number, frameSeconds: number,
 * }} DecoderSettings
 *
 * Seconds; Infinity disables a rule.
 * @typedef {{endpointSeconds: number, emptySeconds: number, longestSeconds: number}} EndpointRules
 *
 * @typedef {import("./recognizer.d.ts").RecognizerOptions} RecognizerOptions
 * @typedef {import("./bundle.js").Manifest} Manifest
 */

const MIN_FILLER_SCORE = -20;
const KNOWN = new Set([
  "ort", "onProgress", "signal", "lm", "useLm", "beamWidth", "alpha", "beta", "unknownScore", "hotWords", "grammar",
  "fillerScore", "nbest", "endpointSeconds", "emptySeconds", "longestSeconds", "minEvidence", "chunkMs", "unit",
  "symbolMass", "maxSymbols", "beamThreshold", "maxTentative", "confidencePower",
]); // prettier-ignore

/**
 * Refuse what does not depend on the bundle, before it is fetched.
 *
 * @param {RecognizerOptions} options
 * @throws {EdgespeechError} An option is unknown or out of range, or two exclude each other.
 */
export function checkOptions(options) {
  const unknown = Object.keys(options).find((name) => !KNOWN.has(name));
  if (unknown) throw usageError(`option ${unknown} is unknown; wanted some of ${[...KNOWN].join(", ")}`);
  if (!options.ort?.InferenceSession || !options.ort.Tensor) {
    throw usageError("option ort is not onnxruntime-web; give what onnxruntime-web/wasm exports");
  }
  const { lm, useLm, grammar, hotWords, fillerScore, nbest, minEvidence, unit } = options;
  require("nbest", nbest, isCount, "1 or more");
  require("minEvidence", minEvidence, (value) => value >= 0 && value < Infinity, "0 (accept everything) or more nats per word");
  require("unit", unit, (value) => ["word", "character"].includes(value), "word or character");
  if (lm && useLm === false) throw usageError("a language model and useLm false: the two clash; leave one out");
  if (grammar != null && !(Array.isArray(grammar) && grammar.every((phrase) => typeof phrase === "string"))) {
    throw usageError("grammar is not a list of texts; wanted one text per phrase");
  }
  if (fillerScore != null && grammar == null) {
    throw usageError(`filler score ${fillerScore} without a grammar; give a grammar too, or leave it out`);
  }
  if (hotWords != null && typeof hotWords !== "object") {
    throw usageError("hotWords is not an object; wanted phrases with their boosts, such as {'new york': 8}");
  }
}

/**
 * The settings of the search of a bundle.
 *
 * @param {Manifest} manifest
 * @param {Partial<RecognizerOptions>} options
 * @param {boolean} hasLm
 * @returns {DecoderSettings}
 * @throws {EdgespeechError} A setting is out of range.
 */
export function decoderSettings(manifest, options, hasLm) {
  const own = manifest.decoder;
  const settings = {
    beamWidth: options.beamWidth ?? own.beam_width,
    alpha: options.alpha ?? own.alpha,
    beta: options.beta ?? (hasLm ? own.beta : 0),
    unknownScore: options.unknownScore ?? own.unknown_score,
    fillerScore: options.fillerScore ?? -2,
    unit: options.unit ?? null,
    symbolMass: options.symbolMass ?? (options.grammar ? 1 : 0.99),  // phrases may need unlikely labels
    maxSymbols: unlimited(options.maxSymbols, 40),
    beamThreshold: unlimited(options.beamThreshold, 18),
    maxTentative: unlimited(options.maxTentative, 128),
    confidencePower: options.confidencePower ?? 1.3,
    frameSeconds: manifest.audio.frame_samples / manifest.audio.sample_rate,
  };
  /** @type {[keyof typeof settings, (value: number) => boolean, string][]} */
  const rules = [
    ["beamWidth", isCount, "1 or more"],
    ["alpha", (value) => value >= 0 && value <= 100, "a number from 0 to 100"],
    ["beta", (value) => value >= -100 && value <= 100, "a number from -100 to 100"],
    ["unknownScore", (value) => value > -Infinity && value <= 0, "a finite number not above 0"],
    ["fillerScore", (value) => value >= MIN_FILLER_SCORE && value < 0, `a number below 0, at least ${MIN_FILLER_SCORE}`],
    ["symbolMass", (value) => value > 0 && value <= 1, "a number above 0 and up to 1"],
    ["maxSymbols", (value) => value === Infinity || isCount(value), "1 or more, or null"],
    ["beamThreshold", (value) => value > 0, "above 0, or null"],
    ["maxTentative", (value) => value >= 2, "2 or more, or null"],
    ["confidencePower", (value) => value > 0 && value < Infinity, "a number above 0"],
  ];
  for (const [name, holds, wanted] of rules) require(name, settings[name], holds, wanted);
  return settings;
}

/**
 * @param {Partial<RecognizerOptions>} options
 * @returns {EndpointRules}
 * @throws {EdgespeechError} A rule is not above 0.
 */
export function endpointRules(options) {
  const rules = {
    endpointSeconds: unlimited(options.endpointSeconds, 1),
    emptySeconds: unlimited(options.emptySeconds, 5),
    longestSeconds: unlimited(options.longestSeconds, 30),
  };
  for (const [name, seconds] of Object.entries(rules)) {
    require(name, seconds, (value) => value > 0, "more than 0 seconds, or null");
  }
  return rules;
}

/**
 * Samples per step of the model.
 *
 * @param {Manifest["audio"]} audio
 * @param {number | undefined} chunkMs
 * @throws {EdgespeechError} The graph does not take it.
 */
export function chunkSamples(audio, chunkMs) {
  if (chunkMs == null) return audio.chunk_samples;
  const samples = (chunkMs * audio.sample_rate) / 1000;
  const milliseconds = (/** @type {number} */ count) => (1000 * count) / audio.sample_rate;
  if (!audio.chunk_free && samples !== audio.chunk_samples) {
    throw usageError(`chunk of ${chunkMs} ms: this bundle has a fixed one of ${milliseconds(audio.chunk_samples)} ms`);
  }
  const { frame_samples: frame } = audio;
  if (!(samples >= frame && samples <= 60 * audio.sample_rate && samples % frame === 0)) {
    throw usageError(`chunk of ${chunkMs} ms: wanted a multiple of ${milliseconds(frame)} ms, at most 60 s; give another`);
  }
  return samples;
}

/**
 * The length of a step for this many samples, of which silence may be a part: whole chunks of the bundle if the stream's
 * own are longer, and at most one of the stream's.
 *
 * @param {Manifest["audio"]} audio
 * @param {number} size Samples in a chunk of the stream.
 * @param {number} wanted
 */
export function stepSamples(audio, size, wanted) {
  const unit = Math.min(audio.chunk_samples, size);
  return Math.min(size, Math.ceil(wanted / unit) * unit);
}

/**
 * @param {number | null | undefined} value
 * @param {number} otherwise
 */
const unlimited = (value, otherwise) => (value === null ? Infinity : (value ?? otherwise));

/** @param {number} value */
const isCount = (value) => Number.isInteger(value) && value >= 1;

/**
 * @param {string} name
 * @param {any} value
 * @param {(value: any) => boolean} holds
 * @param {string} wanted
 */
function require(name, value, holds, wanted) {
  if (value != null && !(typeof value === (name === "unit" ? "string" : "number") && holds(value))) {
    throw usageError(`${name} is ${value}; wanted ${wanted}`);
  }
}
