// Runs one job of a test in Python: `node job.mjs JOB.json RESULT.json`. Arrays are files of float32 or float64 numbers.
import { readFileSync, writeFileSync } from "node:fs";

import { Conditioner } from "../../../../demo/web/engine/audio/conditioner.js";
import { standardNormal } from "../../../../demo/web/engine/audio/noise.js";
import { BeamSearch } from "../../../../demo/web/engine/decoder/beam_search.js";
import { LanguageModel } from "../../../../demo/web/engine/language_model/language_model.js";
import { isSpeech } from "../../../../demo/web/engine/min_evidence.js";
import { decoderSettings } from "../../../../demo/web/engine/options.js";
import { createRecognizer } from "../../../../demo/web/engine/recognizer.js";
import { loadOrt } from "./load_ort.mjs";
import { recordedOrt } from "./recorded_ort.mjs";

export const floats = (path) => new Float32Array(new Uint8Array(readFileSync(path)).buffer);
const doubles = (path) => new Float64Array(new Uint8Array(readFileSync(path)).buffer);

const jobs = {
  // Base-10 scores of sentences, word by word with the end, and whether each word is unknown.
  scores({ lm, sentences }) {
    const model = new LanguageModel(readFileSync(lm));
    const scored = sentences.map((sentence) => {
      let state = model.begin;
      const words = sentence.split(" ").filter((word) => word);
      const found = words.map((word) => {
        const index = model.index(word);
        const score = model.log10(state, index);
        state = model.after(state, index);
        return [score, index === 0];
      });
      return [...found, [model.log10(state, model.endOfSentence), false]];
    });
    return { order: model.order, words: model.vocabulary.words, unigrams: [...model.unigrams], scored };
  },

  // Partials and hypotheses of log-probabilities that come in several calls, and previews of each call before it.
  search({ labels, blank, lm, options, logProbs, cuts, nbest }) {
    const defaults = { beam_width: 64, alpha: 0.5, beta: 1.5, unknown_score: -10, ...options.defaults };
    const { hotWords, grammar, ...settings } = options;
    delete settings.defaults;
    const manifest = { decoder: defaults, audio: { frame_samples: 480, sample_rate: 16000 } };
    const model = lm ? new LanguageModel(readFileSync(lm)) : null;
    const all = decoderSettings(manifest, { ...settings, grammar }, model !== null);
    const search = new BeamSearch(labels, blank, model, all, { hotWords, grammar });
    const values = doubles(logProbs);
    let state = search.initialState();
    const partials = [];
    const previews = [];
    const began = process.cpuUsage();
    let first = 0;
    for (const end of [...cuts, values.length / labels.length]) {
      const rows = values.subarray(first * labels.length, end * labels.length);
      previews.push(search.preview(rows, state));
      const step = search.step(rows, state);
      state = step.state;
      partials.push([step.partial.text, step.partial.committed, step.partial.tentative]);
      first = end;
    }
    const hypotheses = search.finish(state, nbest ?? Infinity);
    const { user, system } = process.cpuUsage(began);
    return { partials, previews, hypotheses, cpuSeconds: (user + system) / 1e6, committed: state.committed.labels.length };
  },

  noise: ({ count, result }) => writeFileSync(result, standardNormal(count)),

  // Conditioned samples of a stream that comes in blocks.
  condition({ samples, block, frame, result }) {
    const conditioner = new Conditioner(16000, frame);
    const input = floats(samples);
    const out = [];
    let state = conditioner.initialState();
    for (let at = 0; at < input.length; at += block) {
      const step = conditioner.step(input.slice(at, at + block), state);
      state = step.state;
      out.push(step.samples);
    }
    out.push(conditioner.step(new Float32Array(0), state, true).samples);
    writeFileSync(result, Buffer.concat(out.map((piece) => Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))));
  },

  // Events of a stream whose model plays back what Python's model computed, in the order of its calls.
  async events({ bundle, calls, callSamples, callLogProbs, samples, options, stream: streamOptions, steps }) {
    const ort = recordedOrt(calls, floats(callSamples), floats(callLogProbs));
    const recognizer = await createRecognizer(filesOf(bundle), { ...options, ort });
    const stream = recognizer.createStream(streamOptions);
    const input = floats(samples);
    const events = [];
    for (const [action, ...values] of steps) {
      if (action === "accept") events.push(await stream.accept(input.subarray(...values)));
      else events.push((await stream[action](...values)) ?? []);
    }
    const { speechLevel, levelWarning, secondsProcessed, segmentStart } = stream;
    return { events, model: ort.report, speechLevel, levelWarning, secondsProcessed, segmentStart };
  },

  // Transcripts of clips by the graph in WebAssembly.
  async transcribe({ bundle, ort: script, clips, options, block }) {
    const ort = await loadOrt(script);
    const recognizer = await createRecognizer(filesOf(bundle), { ...options, ort });
    await recognizer.warmUp();
    const texts = [];
    const began = process.cpuUsage();
    for (const clip of clips) {
      const stream = recognizer.createStream({ sampleRate: 16000 });
      const input = floats(clip);
      const events = [];
      for (let at = 0; at < input.length; at += block) events.push(...(await stream.accept(input.subarray(at, at + block))));
      events.push(...(await stream.finish()));
      texts.push(events.filter(({ type }) => type === "final").map(({ text }) => text));
    }
    const { user, system } = process.cpuUsage(began);
    return { texts, cpuSeconds: (user + system) / 1e6 };
  },

  evidence: ({ cases }) => cases.map(([hypothesis, ...settings]) => isSpeech(hypothesis, ...settings)),
};

export const filesOf = (bundle) =>
  Object.fromEntries(["bundle.json", "acoustic.onnx", "lm.bin"].flatMap((name) => {
    try {
      return [[name, readFileSync(`${bundle}/${name}`)]];
    } catch {
      return [];
    }
  })); // prettier-ignore

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [, , path, result] = process.argv;
  const { job, ...values } = JSON.parse(readFileSync(path, "utf-8"));
  writeFileSync(result, JSON.stringify((await jobs[job](values)) ?? null));
}
