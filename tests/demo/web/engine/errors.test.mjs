// Bad files, settings and samples: one line that says what came, what was wanted and what to do.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";

import { LanguageModel } from "../../../../demo/web/engine/language_model/language_model.js";
import { createRecognizer, EdgespeechError } from "../../../../demo/web/engine/recognizer.js";
import { filesOf } from "./job.mjs";
import { recordedOrt } from "./recorded_ort.mjs";

globalThis.crypto ??= webcrypto; // Node 18 has it as a module only, and then hashes are not compared

const ROOT = new URL("../../../../", import.meta.url).pathname;
const GOLDEN = `${ROOT}tests/golden/`;
const BUNDLE = filesOf(`${ROOT}runtime/default_bundle`);
const manifest = JSON.parse(BUNDLE["bundle.json"].toString());
const binary = readFileSync(`${GOLDEN}random_both.bin`);

// A model that returns the blank in every frame.
function silentOrt() {
  const { states, input, output } = { input: "samples", output: "log_probs", ...manifest.graph };
  const calls = { sizes: [], states: [], labels: 29, frame: 480 };
  calls.inputs = [input, ...states.map(({ name }) => name)];
  calls.outputs = [output, ...states.map((state) => state.output)];
  const ort = recordedOrt(calls, new Float32Array(0), new Float32Array(0));
  const { create } = ort.InferenceSession;
  ort.InferenceSession.create = async () => {
    const session = await create();
    session.run = async (feeds) => {
      const frames = feeds[input].data.length / 480;
      const data = new Float32Array(frames * 29).map((_, at) => (at % 29 ? -20 : -1e-6));
      const states = calls.outputs.slice(1).map((name) => [name, feeds[calls.inputs[1]]]);
      return { [output]: { data, dims: [1, frames, 29] }, ...Object.fromEntries(states) };
    };
    return session;
  };
  return ort;
}

const withManifest = (change) => {
  const copy = structuredClone(manifest);
  change(copy);
  return { ...BUNDLE, "bundle.json": Buffer.from(JSON.stringify(copy)) };
};

const refused = (files, options, name, message) =>
  assert.rejects(createRecognizer(files, { ort: silentOrt(), ...options }), (error) => {
    assert.ok(error instanceof EdgespeechError, error);
    assert.equal(error.name, name);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  });

test("kinds of language models that are not read are named", () => {
  for (const [file, kind] of [["random_compressed.bin", /of the kind trie, not quantized, with compressed pointers;/],
                              ["tiny.bin", /of the kind probing hash table;|of the kind trie/],
                              ["tiny.arpa", /does not begin like a KenLM binary/]]) {
    assert.throws(() => new LanguageModel(readFileSync(GOLDEN + file)), { name: "LanguageModelError", message: kind });
  } // prettier-ignore
});

test("a language model that is cut off is refused", () => {
  for (let length = 0; length < binary.length; length += 1 + (length >> 6)) {
    assert.throws(() => new LanguageModel(binary.subarray(0, length)), { name: "LanguageModelError" }, `${length} bytes`);
  }
});

test("a damaged language model is refused, or read within its bounds", () => {
  let state = 7;
  const random = (limit) => (state = (state * 48271) % 2147483647) % limit;
  let refusals = 0;
  for (let round = 0; round < 3000; round++) {
    const damaged = new Uint8Array(binary);
    for (let change = 0; change <= random(4); change++) damaged[random(round % 2 ? 700 : damaged.length)] = random(256);
    try {
      const lm = new LanguageModel(damaged);
      let context = lm.begin;
      for (let step = 0; step < 30; step++) {
        const word = lm.indices.length ? lm.indices[random(lm.indices.length)] : 0;
        lm.log10(context, word);
        context = lm.after(context, word);
        assert.ok(context.words.length < lm.order);
      }
    } catch (error) {
      if (!(error instanceof EdgespeechError)) throw error;
      refusals++;
    }
  }
  assert.ok(refusals > 500 && refusals < 2900, `${refusals}`);
});

test("damaged and incomplete bundles", async () => {
  const other = new Uint8Array(BUNDLE["acoustic.onnx"]);
  other[5000] ^= 1;
  const { "lm.bin": _, ...without } = BUNDLE;
  await refused({}, {}, "BundleError", /has no bundle.json/);
  await refused({ ...BUNDLE, "bundle.json": Buffer.from("{") }, {}, "BundleError", /it is not JSON/);
  await refused({ ...BUNDLE, "acoustic.onnx": other }, {}, "BundleError", /acoustic.onnx is damaged/);
  await refused({ ...BUNDLE, "acoustic.onnx": other.subarray(1) }, {}, "BundleError", /has \d+ bytes, wanted \d+/);
  await refused(without, {}, "BundleError", /has no lm.bin/);
  await refused(withManifest((it) => (it.version = 2)), {}, "BundleError", /has version 2/);
  await refused(withManifest((it) => (it.labels = [1])), {}, "BundleError", /labels are not texts/);
  await refused(withManifest((it) => (it.blank = 1)), {}, "BundleError", /label 1 is not the blank/);
  await refused(withManifest((it) => (it.audio.chunk_samples = 481)), {}, "BundleError", /audio is incomplete/);
  await refused(withManifest((it) => (it.graph.states[0].shape = [-1])), {}, "BundleError", /no valid states/);
  await refused(withManifest((it) => it.graph.states.pop()), {}, "BundleError", /other inputs or outputs/);
});

test("settings that are out of range, unknown or exclude each other", async () => {
  const cases = [
    [{ beamWidth: 0 }, /beamWidth is 0; wanted 1 or more/],
    [{ beamWidth: "64" }, /beamWidth is 64; wanted/],
    [{ alpha: NaN }, /alpha is NaN/],
    [{ unknownScore: 1 }, /unknownScore is 1/],
    [{ nbest: 1.5 }, /nbest is 1.5/],
    [{ minEvidence: -1 }, /minEvidence is -1/],
    [{ endpointSeconds: 0 }, /endpointSeconds is 0; wanted more than 0 seconds, or null/],
    [{ chunkMs: 100 }, /chunk of 100 ms: wanted a multiple of 30 ms/],
    [{ chunkMs: 61000 }, /at most 60 s/],
    [{ unit: "letter" }, /unit is letter/],
    [{ maxTentative: 1 }, /maxTentative is 1/],
    [{ hotWords: { héllo: 3 } }, /cannot be spelled: the labels have no é/],
    [{ hotWords: { hello: 101 } }, /has the boost 101/],
    [{ hotWords: { " ": 1 } }, /has no letters/],
    [{ grammar: [] }, /has no phrases/],
    [{ grammar: "yes" }, /grammar is not a list/],
    [{ grammar: ["yes"], hotWords: { no: 3 } }, /a closed grammar excludes/],
    [{ fillerScore: -1 }, /without a grammar/],
    [{ lm: new Uint8Array(9), useLm: false }, /the two clash/],
    [{ beam_width: 3 }, /option beam_width is unknown/],
    [{ ort: {} }, /option ort is not onnxruntime-web/],
  ];
  for (const [options, message] of cases) await refused(BUNDLE, options, "UsageError", message);
  await refused(BUNDLE, { lm: binary.subarray(9) }, "LanguageModelError", /does not begin like a KenLM binary/);
});

test("samples and calls that are invalid do not change the stream", async () => {
  const recognizer = await createRecognizer(BUNDLE, { ort: silentOrt() });
  const stream = recognizer.createStream();
  await stream.accept(new Float32Array(4800), 48000);
  await assert.rejects(stream.accept(new Float32Array([0, NaN]), 48000), { name: "AudioError", message: /sample 1 is NaN/ });
  await assert.rejects(stream.accept([0, 0], 48000), { name: "AudioError", message: /not a Float32Array/ });
  await assert.rejects(stream.accept(new Float32Array(9), 44100), { name: "AudioError", message: /44100 Hz in a stream of 48000/ });
  assert.throws(() => recognizer.createStream({ sampleRate: 10 }), { name: "AudioError" });
  assert.throws(() => stream.setHotWords({ é: 1 }), { name: "UsageError" });
  await stream.accept(new Float32Array([-2, 2]), 48000);
  assert.equal(stream.secondsProcessed, 4802 / 48000);
  assert.deepEqual(await stream.finish(), []);
  assert.deepEqual(await stream.finish(), []);
  await assert.rejects(stream.accept(new Float32Array(1)), { name: "UsageError", message: /the stream is finished/ });
  await assert.rejects(stream.endSegment(), { name: "UsageError" });
  assert.equal(recognizer.warnings.length, 0);
});

test("calls that overlap are processed in their order", async () => {
  const recognizer = await createRecognizer(BUNDLE, { ort: silentOrt(), useLm: false });
  const stream = recognizer.createStream();
  const samples = new Float32Array(16000).fill(0.1);
  const done = [];
  const calls = [stream.accept(samples), stream.endSegment(), stream.accept(samples), stream.finish()];
  samples.fill(NaN); // the stream has its own copy
  await Promise.all(calls.map((call, number) => call.then(() => done.push(number))));
  assert.deepEqual(done, [0, 1, 2, 3]);
  assert.equal(stream.secondsProcessed, 2);
});

test("a bundle is fetched with progress, and errors name the address", async () => {
  const server = createServer((request, response) => {
    const name = request.url.split("/").pop();
    if (request.url.startsWith("/bundle/") && BUNDLE[name]) response.end(BUNDLE[name]);
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  try {
    const seen = [];
    const onProgress = (loaded, total) => seen.push([loaded, total]);
    const recognizer = await createRecognizer(`${base}/bundle`, { ort: silentOrt(), onProgress });
    assert.equal(recognizer.sampleRate, 16000);
    const total = BUNDLE["acoustic.onnx"].length + BUNDLE["lm.bin"].length;
    assert.deepEqual(seen.at(-1), [total, total]);
    await createRecognizer(new URL(`${base}/bundle/`), { ort: silentOrt(), useLm: false, onProgress });
    assert.equal(seen.at(-1)[1], BUNDLE["acoustic.onnx"].length);
    await refused(`${base}/other/`, {}, "FetchError", /other\/bundle.json did not arrive \(HTTP status 404\)/);
    const stopped = createRecognizer(`${base}/bundle`, { ort: silentOrt(), signal: AbortSignal.abort() });
    await assert.rejects(stopped, { name: "AbortError" });
  } finally {
    server.closeAllConnections();
    server.close();
  }
  await refused(`${base}/bundle`, {}, "FetchError", /did not arrive/);
});
