// The page's side of the worker, in which everything is computed.

import { engineAdvice } from "./obstacles.js";

export class Engine {
  constructor() {
    this.state = "idle"; // idle, loading, ready, running, unusable
    this.warnings = [];
    this.worker = null;
    this.stream = null; // callbacks of the stream that runs
  }

  get isReady() {
    return this.state === "ready";
  }

  /** Whether other settings have been loaded than these. */
  needs(settings) {
    return JSON.stringify({ ...settings, suitedChunkMs: 0 }) !== this.loaded;
  }

  /**
   * Load the model; `report` is called with the bytes that have arrived and all bytes.
   *
   * @returns {Promise<boolean>} False if another call came before the model was there.
   */
  load(settings, report) {
    this.state = "loading";
    this.loading?.resolve(false);
    this.loaded = JSON.stringify({ ...settings, suitedChunkMs: 0 });
    if (!this.worker) {
      this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      this.worker.onmessage = ({ data }) => this.take(data);
      this.worker.onerror = (event) => this.take({ type: "trouble", name: "Error", message: event.message || "The worker did not start; reload the page" });
    }
    return new Promise((resolve, reject) => {
      this.loading = { number: (this.loading?.number ?? 0) + 1, report, resolve, reject };
      this.worker.postMessage({ type: "load", number: this.loading.number, settings });
    });
  }

  /** Begin a stream of samples at a rate in hertz; a recording is computed in longer steps than a microphone. */
  start(rate, isRecording, options, callbacks) {
    this.state = "running";
    this.stream = callbacks;
    this.worker.postMessage({ type: "start", rate, isRecording, options });
  }

  /** Send a block of samples, which cannot be used afterwards. */
  send(samples) {
    this.worker.postMessage({ type: "audio", samples }, [samples.buffer]);
  }

  setHotWords(hotWords) {
    this.worker.postMessage({ type: "hotWords", hotWords });
  }

  finish() {
    this.worker.postMessage({ type: "finish" });
  }

  take(message) {
    if (message.number && message.number !== this.loading.number) return; // of an earlier call
    if (message.type === "loading") this.loading.report(message.loaded, message.total);
    else if (message.type === "ready") {
      this.state = "ready";
      const { name, chunkMs, stepMs, sampleRate, warnings } = message;
      Object.assign(this, { name, chunkMs, stepMs, sampleRate, warnings });
      this.loading.resolve(true);
    } else if (message.type === "trouble") this.fail(engineAdvice(message));
    else if (message.type === "end") this.end();
    else this.stream?.[message.type](message.value);
  }

  fail(advice) {
    const wasRunning = this.state === "running";
    if (wasRunning) this.end(advice);
    else {
      this.state = "idle";
      this.loading?.reject(new Error(advice));
    }
  }

  end(trouble = "") {
    if (this.state !== "running") return;
    this.state = "ready";
    const { end } = this.stream;
    this.stream = null;
    end(trouble);
  }
}
