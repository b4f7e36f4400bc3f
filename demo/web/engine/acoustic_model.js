/** The acoustic graph in onnxruntime-web: `step(samples, state) -> (logProbs, state)`. */

import { bundleError } from "./errors.js";

/**
 * @typedef {import("./bundle.js").Manifest} Manifest
 * @typedef {import("./recognizer.d.ts").Ort} Ort
 * @typedef {import("./recognizer.d.ts").OrtSession} OrtSession
 * @typedef {Record<string, import("./recognizer.d.ts").OrtTensor>} ModelState A value that callers keep.
 */

export class AcousticModel {
  #ort;
  #session;
  #manifest;

  /**
   * @param {Ort} ort
   * @param {OrtSession} session
   * @param {Manifest} manifest
   */
  constructor(ort, session, manifest) {
    this.#ort = ort;
    this.#session = session;
    this.#manifest = manifest;
  }

  /**
   * @param {Ort} ort
   * @param {Uint8Array} graph
   * @param {Manifest} manifest
   * @throws {EdgespeechError} The graph cannot be loaded or does not match the manifest.
   */
  static async load(ort, graph, manifest) {
    let session;
    try {
      session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"], logSeverityLevel: 3 });
    } catch (error) {
      throw bundleError(`the acoustic graph does not load: ${reason(error)}; export the bundle again`);
    }
    const { input, output, states } = manifest.graph;
    const inputs = [input, ...states.map((state) => state.name)];
    const outputs = [output, ...states.map((state) => state.output)];
    if (!same(session.inputNames, inputs) || !same(session.outputNames, outputs)) {
      throw bundleError("the acoustic graph has other inputs or outputs than bundle.json; export again");
    }
    return new AcousticModel(ort, session, manifest);
  }

  /** @returns {ModelState} The state before the first sample. */
  initialState() {
    const entries = this.#manifest.graph.states.map(({ name, shape, initial }) => {
      const size = shape.reduce((product, length) => product * length, 1);
      return [name, new this.#ort.Tensor("float32", new Float32Array(size).fill(initial ?? 0), [1, ...shape])];
    });
    return Object.fromEntries(entries);
  }

  /**
   * The state of a stream whose recording ends after this many samples of the next step, or before it. Only models that
   * were trained with zeros behind the end distinguish it from the state given.
   *
   * @param {ModelState} state
   * @param {number} samplesLeft
   * @returns {ModelState}
   */
  ending(state, samplesLeft) {
    const name = this.#manifest.audio.end_state;
    if (!name) return state;
    const { dims } = state[name];
    const size = dims.reduce((product, length) => product * length, 1);
    return { ...state, [name]: new this.#ort.Tensor("float32", new Float32Array(size).fill(samplesLeft), dims) };
  }

  /**
   * Process one chunk.
   *
   * @param {Float32Array} samples [chunkSamples]
   * @param {ModelState} state From `initialState` or an earlier step; it is not changed.
   * @returns {Promise<{logProbs: Float32Array, state: ModelState}>} Natural-log probabilities [frames, labels].
   * @throws {EdgespeechError} The graph fails, or returns a wrong number of frames.
   */
  async step(samples, state) {
    const { graph, audio, labels } = this.#manifest;
    let outputs;
    try {
      const input = new this.#ort.Tensor("float32", samples, [1, samples.length]);
      outputs = await this.#session.run({ [graph.input]: input, ...state });
    } catch (error) {
      throw bundleError(`the acoustic graph failed: ${reason(error)}; reload, or export the bundle again`);
    }
    const logProbs = /** @type {Float32Array} */ (outputs[graph.output].data);
    const frames = samples.length / audio.frame_samples;
    if (logProbs.length !== frames * labels.length) {
      const given = outputs[graph.output].dims.join(", ");
      throw bundleError(`the acoustic graph gave [${given}], wanted [1, ${frames}, ${labels.length}]; export again`);
    }
    return { logProbs, state: Object.fromEntries(graph.states.map(({ name, output }) => [name, outputs[output]])) };
  }

  async release() {
    await this.#session.release();
  }
}

/**
 * @param {readonly string[]} found
 * @param {string[]} wanted
 */
const same = (found, wanted) => found.length === wanted.length && wanted.every((name) => found.includes(name));

/** @param {unknown} error */
const reason = (error) => (error instanceof Error ? error.message : String(error)).slice(0, 300);
