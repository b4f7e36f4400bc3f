// One long stream as fast as possible: CPU time by part, time per chunk and memory, minute by minute.
// `node --expose-gc hour.mjs BUNDLE ORT_SCRIPT SAMPLES.f32 MINUTES RATE [BEAM]`, by hour.py; samples are repeated. With the
// rate 48000, samples of 16 kHz pass for those of that rate, so that the resampler works too; the text then means nothing.
import { createRecognizer } from "../../../../demo/web/engine/recognizer.js";
import { filesOf, floats } from "./job.mjs";
import { loadOrt } from "./load_ort.mjs";

const [, , bundle, script, path, minutes, rate, beamWidth] = process.argv;
const ort = await loadOrt(script);
const cpu = () => Object.values(process.cpuUsage()).reduce((sum, one) => sum + one, 0) / 1e6;

// The time of the graph is measured around its calls.
let graph = 0;
const { create } = ort.InferenceSession;
const timed = { ...ort, Tensor: ort.Tensor, InferenceSession: { create: async (...values) => {
  const session = await create.call(ort.InferenceSession, ...values);
  const run = session.run.bind(session);
  session.run = async (feeds) => {
    const began = cpu();
    const result = await run(feeds);
    graph += cpu() - began;
    return result;
  };
  return session;
} } }; // prettier-ignore

const options = beamWidth ? { beamWidth: Number(beamWidth) } : {};
const recognizer = await createRecognizer(filesOf(bundle), { ort: timed, ...options });
await recognizer.warmUp();
const samples = floats(path);
const stream = recognizer.createStream({ sampleRate: Number(rate) });
const block = Math.round(0.1 * rate);
let words = 0;
let at = 0;
const began = cpu();
const graphBegan = graph;
console.log("minute  cpu_rtf  graph_rtf  chunk_ms_p50  p99  rss_mb  heap_mb  buffers_mb  words");
for (let minute = 1; minute <= minutes; minute++) {
  const [minuteCpu, minuteGraph] = [cpu(), graph];
  const chunks = [];
  let chunk = cpu();
  for (let push = 0; push < 600; push++) {
    if (at + block > samples.length) at = 0;
    for (const event of await stream.accept(samples.subarray(at, at + block))) {
      if (event.type === "final") words += event.words.length;
    }
    at += block;
    if (push % 3 === 2) {
      chunks.push(cpu() - chunk);
      chunk = cpu();
    }
  }
  chunks.sort((one, other) => one - other);
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const figures = [(cpu() - minuteCpu) / 60, (graph - minuteGraph) / 60].map((one) => one.toFixed(4));
  const times = [0.5, 0.99].map((part) => (1000 * chunks[Math.floor(part * chunks.length)]).toFixed(1));
  const memory = [rss, heapUsed, arrayBuffers].map((bytes) => (bytes / 1e6).toFixed(1));
  if (minute <= 3 || minute % 5 === 0) console.log([minute, ...figures, ...times, ...memory, words].join("  "));
}
const seconds = minutes * 60;
const all = (cpu() - began) / seconds;
console.log(`all: cpu_rtf ${all.toFixed(4)}, graph ${((graph - graphBegan) / seconds).toFixed(4)}`);
