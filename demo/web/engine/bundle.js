/** The files of a bundle: fetched or given, compared with the sizes and hashes in `bundle.json`. */

import { bundleError, EdgespeechError } from "./errors.js";

/**
 * @typedef {{name: string, output: string, shape: number[], initial: number}} StateEntry
 * @typedef {{
 *   name: string, labels: string[], blank: number,
 *   audio: {
 *     sample_rate: number, frame_samples: number, chunk_samples: number, chunk_free: boolean, delay_frames: number,
 *     end_state?: string,
 *   },
 *   graph: {precision: string, states: StateEntry[], input: string, output: string},
 *   decoder: {beam_width: number, alpha: number, beta: number, unknown_score: number, least_confidence: number},
 *   files: Record<string, {bytes: number, sha256: string}>,
 * }} Manifest
 *
 * @typedef {import("./recognizer.d.ts").BundleFiles} BundleFiles
 * @typedef {{onProgress?: (loaded: number, total: number) => void, signal?: AbortSignal}} FetchOptions
 */

const FORMAT = "edgespeech-bundle";
const VERSION = 1;
const MANIFEST = "bundle.json";
export const ACOUSTIC = "acoustic.onnx";
export const LANGUAGE_MODEL = "lm.bin";

export class Bundle {
  /**
   * @param {Manifest} manifest
   * @param {Map<string, Uint8Array>} files Without `bundle.json`.
   */
  constructor(manifest, files) {
    this.manifest = manifest;
    this.files = files;
  }
}

/**
 * @param {string | URL | BundleFiles} source URL of the folder, or the files.
 * @param {boolean} withLm Whether the language model is wanted.
 * @param {FetchOptions} options
 * @returns {Promise<Bundle>}
 * @throws {EdgespeechError} A file is missing or damaged.
 */
export async function loadBundle(source, withLm, options) {
  const isUrl = typeof source === "string" || source instanceof URL;
  const base = String(source).replace(/\/?$/, "/");
  const read = (/** @type {string} */ name) => {
    const file = /** @type {BundleFiles} */ (source)[name];
    if (!file) throw bundleError(`the bundle has no ${name}; give all files of the bundle`);
    return file instanceof Uint8Array ? file : new Uint8Array(file);
  };
  const raw = isUrl ? await fetchFile(base + MANIFEST, options.signal) : read(MANIFEST);
  const manifest = parseManifest(raw);
  const names = [ACOUSTIC, LANGUAGE_MODEL].filter((name) => name in manifest.files && (withLm || name !== LANGUAGE_MODEL));
  const total = names.reduce((bytes, name) => bytes + manifest.files[name].bytes, 0);
  const loaded = new Map(names.map((name) => [name, 0]));
  const report = (/** @type {string} */ name, /** @type {number} */ bytes) => {
    loaded.set(name, bytes);
    options.onProgress?.([...loaded.values()].reduce((sum, one) => sum + one, 0), total);
  };
  const contents = await Promise.all(
    names.map(async (name) => {
      const content = isUrl
        ? await fetchFile(base + name, options.signal, manifest.files[name].bytes, (bytes) => report(name, bytes))
        : read(name);
      await check(name, content, manifest.files[name]);
      return /** @type {const} */ ([name, content]);
    }),
  );
  return new Bundle(manifest, new Map(contents));
}

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @param {number} [size] Bytes that are expected.
 * @param {(bytes: number) => void} [onBytes]
 */
async function fetchFile(url, signal, size = 0, onBytes = () => {}) {
  const failed = (/** @type {string} */ why) =>
    new EdgespeechError("FetchError", `${url} did not arrive (${why}); check the address and the connection`);
  try {
    const response = await fetch(url, { signal });
    if (!response.ok || !response.body) throw failed(`HTTP status ${response.status}`);
    let content = new Uint8Array(size || 1 << 16);
    let at = 0;
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (at + part.value.length > content.length) {
        const longer = new Uint8Array(2 * (at + part.value.length));
        longer.set(content.subarray(0, at));
        content = longer;
      }
      content.set(part.value, at);
      at += part.value.length;
      onBytes(at);
    }
    return content.subarray(0, at);
  } catch (error) {
    if (error instanceof EdgespeechError || signal?.aborted) throw error;
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {string} name
 * @param {Uint8Array} content
 * @param {{bytes: number, sha256: string}} wanted
 */
async function check(name, content, wanted) {
  if (content.length !== wanted.bytes) {
    throw bundleError(`${name} has ${content.length} bytes, wanted ${wanted.bytes}; copy or export the bundle again`);
  }
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return;
  const digest = new Uint8Array(await subtle.digest("SHA-256", /** @type {BufferSource} */ (content)));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (sha256 !== wanted.sha256) {
    throw bundleError(`${name} is damaged: its SHA-256 is not the one in ${MANIFEST}; copy the bundle again`);
  }
}

/**
 * @param {Uint8Array} raw
 * @returns {Manifest}
 */
export function parseManifest(raw) {
  const invalid = (/** @type {string} */ why) =>
    bundleError(`${MANIFEST} is not a valid bundle description: ${why}; export the bundle again`);
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
  } catch {
    throw invalid("it is not JSON");
  }
  if (manifest?.format !== FORMAT) throw invalid(`its format is ${manifest?.format}`);
  if (manifest.version !== VERSION) {
    throw bundleError(`${MANIFEST} has version ${manifest.version}; wanted version ${VERSION}: export it again`);
  }
  const count = (/** @type {unknown} */ value, least = 1) => Number.isSafeInteger(value) && Number(value) >= least;
  const text = (/** @type {unknown} */ value) => typeof value === "string";
  const { labels, audio, graph, files } = manifest;
  const blank = manifest.blank ?? 0;
  if (!(Array.isArray(labels) && labels.length > 1 && labels.every(text))) throw invalid("labels are not texts");
  if (!(count(blank, 0) && labels[blank] === "")) throw invalid(`label ${blank} is not the blank (an empty text)`);
  const frame = audio?.frame_samples;
  const whole = count(frame) && count(audio.chunk_samples) && audio.chunk_samples % frame === 0;
  if (!(whole && count(audio.sample_rate, 1000) && count(audio.delay_frames, 0))) throw invalid("audio is incomplete");
  const isState = (/** @type {any} */ state) =>
    text(state?.name) && text(state.output) && Array.isArray(state.shape) && state.shape.every((/** @type {unknown} */ n) => count(n, 0));
  if (!(Array.isArray(graph?.states) && graph.states.every(isState))) throw invalid("graph has no valid states");
  const isKnown = graph.states.some((/** @type {StateEntry} */ { name }) => name === audio.end_state);
  if (audio.end_state && !isKnown) throw invalid(`end_state '${audio.end_state}' is not the name of a state`);
  for (const [name, entry] of Object.entries(files ?? {})) {
    if (!(count(entry?.bytes, 0) && text(entry.sha256))) throw invalid(`file ${name} has no size or no hash`);
  }
  if (!files?.[ACOUSTIC]) throw invalid(`files lacks ${ACOUSTIC}`);
  const decoder = { beam_width: 64, alpha: 0.5, beta: 1.5, unknown_score: -10, least_confidence: 0, ...manifest.decoder };
  return { ...manifest, blank, decoder, graph: { input: "samples", output: "log_probs", ...graph } };
}
