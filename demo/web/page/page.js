// The page: what is loaded, what runs, and what is shown of it.

import { findObstacle, microphoneAdvice, PLAIN_HTTP, sentence } from "./obstacles.js";
import { Engine } from "./engine.js";
import { Recording } from "./recording.js";
import { Settings } from "./settings.js";
import { hasMicrophone, level, offerFiles, openFile, openMicrophone } from "./sources.js";
import { clock, Transcript } from "./transcript.js";

const BLOCKS_IN_FLIGHT = 4; // of a file, one second each
const TOO_LATE_SECONDS = 3;
const FIGURES_MS = 250; // between two changes of the figures
const TOO_SLOW =
  "This device is too slow for these settings. Choose 300 ms of audio per step, or do without the language model.";

const element = (id) => document.getElementById(id);
const settings = new Settings(element("settings"));
const transcript = new Transcript(element("segments"), element("committed"), element("tentative"));
const recording = new Recording();
const engine = new Engine();
let running = null; // what stops the microphone or the file
let isOpening = false; // while the browser asks whether the microphone may be used
let screenLock = null;

function notify(text = "") {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

function showState() {
  const isReady = engine.isReady && !running;
  element("loading").hidden = engine.state !== "loading";
  element("controls").hidden = engine.state === "unusable";
  element("options").hidden = engine.state === "unusable";
  for (const id of ["microphone", "open"]) element(id).hidden = Boolean(running);
  element("microphone").disabled = !isReady || !hasMicrophone();
  element("open").disabled = !isReady;
  element("stop").hidden = !running;
  element("stop").ariaDisabled = "false";
  element("level").hidden = running?.kind !== "microphone";
  element("results").hidden = transcript.isEmpty && !recording.seconds;
  for (const button of element("results").children) button.disabled = Boolean(running);
}

/** Show whether the controls can be used, without losing the focus of a button that vanishes. */
function changeState() {
  const hadFocus = element("controls").contains(document.activeElement);
  showState();
  if (hadFocus && !document.activeElement?.offsetParent) element(running ? "stop" : "microphone").focus();
}

function showFigures(parts) {
  element("figures").textContent = parts.filter(Boolean).join("; ");
}

async function load() {
  notify();
  element("loading-text").textContent = "Loading …";
  element("progress").value = 0;
  try {
    const model = engine.load(settings.forEngine(), (loaded, total) => {
      element("progress").value = loaded / total;
      element("loading-text").textContent = loaded < total
        ? `Loading ${(loaded / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB …`
        : "Starting the model …";
    });
    changeState();
    if (!await model) return;
    settings.rememberChunk(engine.chunkMs);
    element("engine").textContent =
      `bundle ${engine.name}; ${engine.chunkMs} ms of audio per step, computed in ${engine.stepMs.toFixed(0)} ms`;
    notify([hasMicrophone() ? "" : PLAIN_HTTP, ...engine.warnings.map(sentence)].filter(Boolean).join(" "));
  } catch (error) {
    notify(error.message);
  }
  changeState();
}

/** Run a source to its end; `kind` decides how the figures are written. */
function begin(kind, rate, stop) {
  const opened = performance.now();
  const run = { kind, rate, stop, sent: 0, taken: 0, began: 0, nextFigures: 0, delay: "" };
  engine.start(rate, kind === "file", settings.forStream(), {
    sound: (samples) => recording.add(samples, engine.sampleRate),
    progress: ({ audioSeconds, computeSeconds }) => {
      run.taken = audioSeconds;
      run.room?.();
      if (performance.now() < run.nextFigures) return;
      run.nextFigures = performance.now() + FIGURES_MS;
      const speed = `${((1000 * audioSeconds) / (performance.now() - opened)).toFixed(1)} times as fast as speech`;
      showFigures([
        `${clock(audioSeconds)} of speech`,
        audioSeconds && `real-time factor ${(computeSeconds / audioSeconds).toFixed(3)}`,
        kind === "file" ? speed : run.delay,
      ]);
      if (kind === "microphone" && run.sent / rate - audioSeconds > TOO_LATE_SECONDS) notify(TOO_SLOW);
    },
    events: (events) => {
      for (const event of events) {
        transcript.show(event);
        if (event.type === "partial" && kind === "microphone" && event.text && running === run) {
          const behind = (performance.now() - run.began) / 1000 - event.end;
          run.delay = `text ${behind.toFixed(2)} s behind the microphone, ${event.latency_ms.toFixed(0)} ms of it computing`;
        }
      }
    },
    end: (trouble) => {
      run.stop();
      running = null;
      screenLock?.release().catch(() => {});
      screenLock = null;
      transcript.clearPresent();
      if (trouble) notify(trouble);
      changeState();
      if (engine.needs(settings.forEngine())) load(); // they were changed meanwhile
    },
  });
  running = run;
  changeState();
  return run;
}

async function runMicrophone() {
  if (isOpening) return;
  notify();
  let run = null;
  const waiting = [];
  const take = (block) => {
    element("level").value = level(block);
    waiting.push(block);
    if (!run) return;
    run.began ||= performance.now() - (block.length / run.rate) * 1000;
    for (const one of waiting.splice(0)) {
      run.sent += one.length;
      engine.send(one);
    }
  };
  const lost = () => {
    notify("The microphone was disconnected; what it recorded until then is kept.");
    stop();
  };
  isOpening = true;
  try {
    const { rate, close } = await openMicrophone(take, { processing: settings.processing, lost });
    run = begin("microphone", rate, close);
  } catch (error) {
    notify(microphoneAdvice(error));
    return;
  } finally {
    isOpening = false;
  }
  screenLock = await navigator.wakeLock?.request("screen").catch(() => null); // a phone that sleeps records nothing
}

async function runFile(file) {
  if (isOpening) return;
  notify();
  let source;
  try {
    source = await openFile(file);
  } catch (error) {
    notify(error.message);
    return;
  }
  let stopped = false;
  const run = begin("file", source.rate, () => { stopped = true; });
  for (const block of source.blocks) {
    while (!stopped && run.sent / run.rate - run.taken > BLOCKS_IN_FLIGHT) {
      await new Promise((resolve) => { run.room = resolve; });
    }
    if (stopped) break;
    run.sent += block.length;
    engine.send(block);
  }
  if (!stopped) engine.finish();
}

function stop() {
  if (!running || running.isStopping) return;
  running.isStopping = true;
  element("stop").ariaDisabled = "true"; // until the last words are there; a disabled button would lose the focus
  running.stop();
  engine.finish();
}

function save(kind) {
  const content = kind === "wav" ? recording.wav() : new Blob([transcript.text(kind)], { type: "text/plain" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `speech.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

element("microphone").addEventListener("click", runMicrophone);
offerFiles(element("open"), element("file"), runFile);
element("stop").addEventListener("click", stop);
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(transcript.text("txt"));
  } catch {
    getSelection().selectAllChildren(element("segments")); // without https: ready for the keys that copy
  }
});
element("clear").addEventListener("click", () => {
  transcript.clear();
  recording.clear();
  showFigures([]);
  changeState();
});
element("results").addEventListener("click", ({ target }) => {
  if (target.dataset.save) save(target.dataset.save);
});
element("settings").addEventListener("change", () => {
  const problem = settings.store();
  if (problem) notify(problem);
  else if (running) engine.setHotWords(settings.forStream().hotWords);
  else if (engine.needs(settings.forEngine())) load();
});

const obstacle = findObstacle();
if (obstacle) {
  engine.state = "unusable";
  notify(obstacle);
  showState();
} else {
  navigator.serviceWorker?.register("service_worker.js").catch(() => {}); // without it, the page only needs the network
  load();
}
