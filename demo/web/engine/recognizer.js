/** Speech recognition with a bundle; `recognizer.d.ts` describes the interface. */

import { AcousticModel } from "./acoustic_model.js";
import { Conditioner } from "./audio/conditioner.js";
import { ACOUSTIC, LANGUAGE_MODEL, loadBundle } from "./bundle.js";
import { BeamSearch } from "./decoder/beam_search.js";
import { LanguageModel } from "./language_model/language_model.js";
import { Endpointer } from "./endpoint.js";
import { usageError } from "./errors.js";
import { DEFAULT_MIN_EVIDENCE } from "./min_evidence.js";
import { checkOptions, chunkSamples, decoderSettings, endpointRules } from "./options.js";
import { Stream } from "./stream.js";

export { Resampler } from "./audio/resampler.js";
export { EdgespeechError } from "./errors.js";

/**
 * @typedef {import("./recognizer.d.ts").RecognizerOptions} RecognizerOptions
 * @typedef {import("./recognizer.d.ts").StreamOptions} StreamOptions
 * @typedef {import("./recognizer.d.ts").BundleFiles} BundleFiles
 * @typedef {import("./recognition.js").Parts} Parts
 * @typedef {import("./recognizer.d.ts").Recognizer} PublicRecognizer
 */

/** @type {typeof import("./recognizer.d.ts").createRecognizer} */
export async function createRecognizer(bundle, options) {
  checkOptions(options);
  const rules = endpointRules(options);
  const { ort, lm: ownLm, useLm = true, grammar = null, hotWords = null } = options;
  const wantsLm = useLm && !grammar && !ownLm;
  const { manifest, files } = await loadBundle(bundle, wantsLm, options);
  const { audio, labels, blank } = manifest;
  const size = chunkSamples(audio, options.chunkMs);
  const lmFile = ownLm ?? files.get(LANGUAGE_MODEL);
  const settings = decoderSettings(manifest, options, Boolean(lmFile));
  const lm = lmFile ? new LanguageModel(lmFile) : null;
  const search = new BeamSearch(labels, blank, lm, settings, { hotWords, grammar });
  const graph = /** @type {Uint8Array} */ (files.get(ACOUSTIC));
  files.clear(); // the graph is copied to the memory of onnxruntime
  const warnings = [search.warning, precisionWarning(manifest.graph.precision)].filter((warning) => warning);
  const parts = {
    manifest,
    search,
    conditioner: new Conditioner(audio.sample_rate, audio.frame_samples),
    model: await AcousticModel.load(ort, graph, manifest),
    endpointer: new Endpointer(settings.frameSeconds, labels, blank, rules),
    minEvidence: options.minEvidence ?? DEFAULT_MIN_EVIDENCE,
    chunkSamples: size,
    nbest: options.nbest ?? 1,
  };
  return new Recognizer(parts, warnings);
}

/** @implements {PublicRecognizer} */
class Recognizer {
  /** @type {Parts | null} */
  #parts;

  /**
   * @param {Parts} parts
   * @param {readonly string[]} warnings
   */
  constructor(parts, warnings) {
    this.#parts = parts;
    this.manifest = parts.manifest;
    this.sampleRate = parts.manifest.audio.sample_rate;
    this.chunkSamples = parts.chunkSamples;
    this.warnings = warnings;
  }

  async warmUp() {
    const { conditioner, model, chunkSamples: size } = this.#open();
    await model.step(conditioner.silence(0, size), model.initialState());
  }

  /** @param {StreamOptions} options */
  createStream(options = {}) {
    return new Stream(this.#open(), options);
  }

  async close() {
    const parts = this.#parts;
    this.#parts = null;
    await parts?.model.release();
  }

  #open() {
    if (!this.#parts) throw usageError("the recognizer is closed; make a new one with createRecognizer()");
    return this.#parts;
  }
}

/** @param {string} precision */
const precisionWarning = (precision) =>
  precision === "int4" ? "a chunk of an int4 bundle takes about 100 ms in WebAssembly; use the int8 bundle" : "";
