// Loads the model and recognises one stream after the other; see engine.js for the messages.

import * as ort from "../ort/ort.wasm.bundle.min.mjs";
import { Resampler } from "../engine/audio/resampler.js";
import { createRecognizer } from "../engine/recognizer.js";
import { forgetOthers, loadFiles, readContents } from "./files.js";

const WASM = "ort/ort-wasm-simd-threaded.wasm";
const SHORT_MS = 150;
const ROUNDS = 4; // the first one runs code that is not optimised yet
const STEPS = 4; // of a round
const RECORDING_CHUNKS = 8; // of the bundle in a step for a file: 0.6 of the computing
const MAX_LOAD = 0.1; // of the time, by the model alone, up to which short chunks are used

let isWasmLoaded = false;
let newestLoad = 0;
let recognizer = null;
let recordingMs; // of audio per step for a file; undefined for the recognizer's own
let stream = null;

async function load({ number, settings: { chunkMs, suitedChunkMs, ...settings } }) {
  if (number !== newestLoad) return; // another one is waiting
  await recognizer?.close();
  recognizer = null;
  const { files } = await readContents();
  const names = Object.keys(files).filter((path) =>
    path.startsWith("bundle/") && (settings.useLm || path !== "bundle/lm.bin"));
  const wanted = Object.fromEntries([...names, ...(isWasmLoaded ? [] : [WASM])].map((path) => [path, files[path]]));
  const loaded = await loadFiles(wanted, (bytes, total) => postMessage({ type: "loading", number, loaded: bytes, total }));
  ort.env.wasm.wasmBinary = loaded[WASM];
  ort.env.wasm.numThreads = 1; // more cost CPU time and bring nothing
  const bundle = Object.fromEntries(names.map((path) => [path.slice("bundle/".length), loaded[path]]));
  const { audio } = JSON.parse(new TextDecoder().decode(bundle["bundle.json"]));
  const create = (milliseconds) => createRecognizer({ ...bundle }, { ort, ...settings, ...(milliseconds && { chunkMs: milliseconds }) });
  const isShortPossible = audio.chunk_free && SHORT_MS * audio.sample_rate % (1000 * audio.frame_samples) === 0;
  recognizer = await create(chunkMs ?? suitedChunkMs ?? (isShortPossible ? SHORT_MS : null));
  isWasmLoaded = true;
  if (loaded[WASM]) structuredClone(loaded[WASM], { transfer: [loaded[WASM]] }); // 14 MB that onnxruntime-web keeps
  await recognizer.warmUp();
  let stepMs = await measure();
  const ownMs = 1000 * audio.chunk_samples / audio.sample_rate;
  recordingMs = chunkMs || !audio.chunk_free ? undefined : RECORDING_CHUNKS * ownMs;
  if (!chunkMs && !suitedChunkMs && isShortPossible && stepMs > MAX_LOAD * SHORT_MS) {
    await recognizer.close();
    recognizer = await create(ownMs);
    stepMs = await measure();
  }
  await forgetOthers(files);
  postMessage({
    type: "ready",
    number,
    name: recognizer.manifest.name,
    chunkMs: 1000 * recognizer.chunkSamples / recognizer.sampleRate,
    stepMs,
    sampleRate: recognizer.sampleRate,
    warnings: recognizer.warnings,
  });
}

/** Return the time in milliseconds that a step takes on silence, of the fastest of some steps in a row. */
async function measure() {
  const silent = recognizer.createStream();
  const chunk = new Float32Array(recognizer.chunkSamples);
  let shortest = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now();
    for (let step = 0; step < STEPS; step += 1) await silent.accept(chunk);
    shortest = Math.min(shortest, (performance.now() - began) / STEPS);
  }
  return shortest;
}

function start({ rate, isRecording, options: { hotWords, fastPartials } }) {
  const { sampleRate } = recognizer;
  stream = {
    inner: recognizer.createStream({ sampleRate, fastPartials, ...(isRecording && { chunkMs: recordingMs }) }),
    resampler: new Resampler(rate, sampleRate),
    audioSeconds: 0,
    computeSeconds: 0,
  };
  if (Object.keys(hotWords).length) stream.inner.setHotWords(hotWords);
}

/** Recognise samples as 16-bit integers, so that an exported recording is exactly what was recognised. */
async function accept(block, isLast = false) {
  const began = performance.now();
  const samples = stream.resampler.step(block, isLast);
  const integers = new Int16Array(samples.length);
  for (let index = 0; index < samples.length; index += 1) {
    integers[index] = Math.max(-32768, Math.min(32767, Math.round(samples[index] * 32768)));
    samples[index] = integers[index] / 32768;
  }
  const events = await stream.inner.accept(samples);
  if (isLast) events.push(...await stream.inner.finish());
  stream.audioSeconds += integers.length / recognizer.sampleRate;
  stream.computeSeconds += (performance.now() - began) / 1000;
  if (events.length) postMessage({ type: "events", value: events });
  postMessage({ type: "sound", value: integers }, [integers.buffer]);
  postMessage({ type: "progress", value: { audioSeconds: stream.audioSeconds, computeSeconds: stream.computeSeconds } });
}

const handlers = {
  load,
  start,
  audio: ({ samples }) => stream && accept(samples),
  hotWords: ({ hotWords }) => stream?.inner.setHotWords(hotWords),
  finish: async () => {
    if (!stream) return;
    await accept(new Float32Array(0), true);
    stream = null;
    postMessage({ type: "end" });
  },
};

let previous = Promise.resolve();
onmessage = ({ data }) => {
  if (data.type === "load") newestLoad = data.number;
  previous = previous.then(() => handlers[data.type](data)).catch(({ name, message }) => {
    stream = null;
    postMessage({ type: "trouble", number: data.number, name, message: String(message) });
  });
};
