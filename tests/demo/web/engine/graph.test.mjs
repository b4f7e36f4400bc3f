// The graph of the default bundle in WebAssembly; ONNXRUNTIME_WEB is the address of onnxruntime-web's script, as in
// `ONNXRUNTIME_WEB=file:///.../ort.wasm.bundle.min.mjs node --test tests/demo/web/engine`.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { AcousticModel } from "../../../../demo/web/engine/acoustic_model.js";
import { parseManifest } from "../../../../demo/web/engine/bundle.js";
import { createRecognizer } from "../../../../demo/web/engine/recognizer.js";
import { filesOf } from "./job.mjs";
import { loadOrt } from "./load_ort.mjs";
import { voice } from "./voice.mjs";

// SHA-256 of float32 [700, 29]. WebAssembly computes the same on every machine; another bundle has another hash.
const GOLDEN = "44a9d4c42429950f426ea7af81cf135fd56aead06fb7a7b307a8e24127beea9b";

const BUNDLE = new URL("../../../../runtime/default_bundle", import.meta.url).pathname;
const ort = await loadOrt(process.env.ONNXRUNTIME_WEB);
const files = filesOf(BUNDLE);
const manifest = parseManifest(files["bundle.json"]);
const clip = voice(21);

async function logProbsOf(samples, size) {
  const model = await AcousticModel.load(ort, files["acoustic.onnx"], manifest);
  const pieces = [];
  let state = model.initialState();
  for (let at = 0; at + size <= samples.length; at += size) {
    const step = await model.step(samples.slice(at, at + size), state);
    state = step.state;
    pieces.push(Buffer.from(step.logProbs.slice().buffer));
  }
  await model.release();
  return Buffer.concat(pieces);
}

const exact = await logProbsOf(clip, 4800);

test("21 s give exactly the log-probabilities that were recorded", () => {
  assert.equal(exact.length, 700 * 29 * 4);
  assert.equal(createHash("sha256").update(exact).digest("hex"), GOLDEN);
});

test("a state can be used again, and is not changed", async () => {
  const model = await AcousticModel.load(ort, files["acoustic.onnx"], manifest);
  const before = (await model.step(clip.slice(0, 4800), model.initialState())).state;
  const copies = Object.fromEntries(Object.entries(before).map(([name, { data }]) => [name, data.slice()]));
  const once = await model.step(clip.slice(4800, 9600), before);
  const again = await model.step(clip.slice(4800, 9600), before);
  assert.deepEqual(once.logProbs, again.logProbs);
  for (const [name, { data }] of Object.entries(before)) assert.deepEqual(data, copies[name], name);
});

test("chunks of another length give nearly the same", async () => {
  const whole = new Float32Array(exact.buffer, exact.byteOffset, exact.length / 4);
  for (const size of [2400, 9600]) {
    const other = await logProbsOf(clip, size);
    const values = new Float32Array(other.buffer, other.byteOffset, other.length / 4);
    let divergence = 0; // Kullback-Leibler, in nats
    for (let at = 0; at < values.length; at++) divergence += Math.exp(whole[at]) * (whole[at] - values[at]);
    assert.ok(divergence / (values.length / 29) < 0.02, `${size}: ${divergence / (values.length / 29)} nats per frame`);
  }
});

test("events do not depend on how the audio is cut", async () => {
  const recognizer = await createRecognizer(files, { ort, nbest: 2, minEvidence: 0, endpointSeconds: 0.3, beamWidth: 32 });
  await recognizer.warmUp();
  const collect = async (block) => {
    const stream = recognizer.createStream({ sampleRate: 16000 });
    const events = [];
    for (let at = 0; at < clip.length; at += block) events.push(...(await stream.accept(clip.subarray(at, at + block))));
    events.push(...(await stream.finish()));
    assert.deepEqual(await stream.finish(), []);
    return events.filter(({ type }) => type === "final").map(({ latency_ms, ...others }) => others);
  };
  const whole = await collect(clip.length);
  assert.ok(whole.length > 0 && whole.every(({ nbest }) => nbest.length === 2));
  for (const block of [128, 50000]) assert.deepEqual(await collect(block), whole);
  await recognizer.close();
  assert.throws(() => recognizer.createStream(), /the recognizer is closed/);
});

test("a stream of its own chunk length is a stream of a recognizer with that length", async () => {
  const options = { ort, minEvidence: 0, endpointSeconds: 0.3, beamWidth: 32 };
  const [own, other] = [await createRecognizer(files, options), await createRecognizer(files, { ...options, chunkMs: 1200 })];
  const collect = async (stream) => [...(await stream.accept(clip)), ...(await stream.finish())].map(({ latency_ms, ...others }) => others); // prettier-ignore
  const wanted = await collect(other.createStream({ sampleRate: 16000 }));
  assert.ok(wanted.length > 0);
  assert.deepEqual(await collect(own.createStream({ sampleRate: 16000, chunkMs: 1200 })), wanted);
  assert.throws(() => own.createStream({ chunkMs: 100 }), /chunk of 100 ms: wanted a multiple of 30 ms/);
  await own.close();
  await other.close();
});
