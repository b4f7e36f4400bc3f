// The page: buttons, the transcript, and what it cost.

import { hasMicrophone, level, offerFiles, openFile, openMicrophone } from "./sources.js";
import { Stream } from "./stream.js";

const NO_MICROPHONE =
  "Browsers allow a page to use the microphone only over https, or on the machine that runs the server. Open this page "
  + "by its https address, or choose a file.";
const DOUBTFUL = 0.5; // confidence

const element = (id) => document.getElementById(id);
let token = sessionStorage.getItem("token") ?? "";
let stop = null; // ends what runs

function notify(text = "") {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

function showState() {
  const filled = element("segments").childElementCount > 0;
  for (const id of ["microphone", "open"]) element(id).hidden = Boolean(stop);
  for (const id of ["copy", "clear"]) element(id).disabled = !filled || Boolean(stop);
  element("stop").hidden = !stop;
  element("stop").disabled = false;
}

function showPresent(committed = "", tentative = "") {
  element("committed").textContent = committed;
  element("tentative").textContent = tentative;
}

function addSegment({ start, end, words }) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = `${clock(start)} to ${clock(end)}`;
  line.append(time);
  words.forEach(({ word, confidence }, index) => {
    const span = document.createElement("span");
    span.textContent = word;
    span.title = `confidence ${confidence.toFixed(2)}`;
    span.classList.toggle("doubtful", confidence < DOUBTFUL);
    line.append(index ? " " : "", span);
  });
  const atEnd = window.innerHeight + window.scrollY > document.body.offsetHeight - 100;
  element("segments").append(line);
  if (atEnd) element("present").scrollIntoView({ block: "end" });
}

/** Show an event; `figures` makes the line at the foot of the page. */
function show(event, figures) {
  if (event.type === "partial") showPresent(event.committed, event.tentative);
  if (event.type === "final") {
    showPresent();
    addSegment(event);
  }
  if (event.type !== "ready") element("figures").textContent = figures(event);
}

function end(trouble) {
  stop?.close();
  stop = null;
  showPresent();
  element("level").hidden = true;
  if (trouble) notify(trouble);
  showState();
}

async function runMicrophone() {
  notify();
  let stream = null;
  let began = 0; // of the first sample, in the page's milliseconds
  const waiting = [];
  const take = (block) => {
    element("level").value = level(block);
    waiting.push(block);
    if (stream?.isOpen) waiting.splice(0).forEach((one) => stream.send(one));
    began ||= performance.now() - (block.length / source.rate) * 1000;
  };
  let source;
  element("microphone").disabled = true; // while the browser asks
  try {
    source = await openMicrophone(take);
  } catch (error) {
    const reason = { NotAllowedError: "it was not allowed", NotFoundError: "there is none" }[error.name];
    notify(`The microphone does not open: ${reason ?? error.message}.`);
    return;
  } finally {
    element("microphone").disabled = false;
  }
  let delay = "";
  let stopped = false;
  const figures = (event) => {
    if (event.type === "partial" && !stopped) { // finals wait for the silence that ends them
      const seconds = (performance.now() - began) / 1000 - event.end;
      delay = `; text ${seconds.toFixed(2)} s behind the microphone, of which ${event.latency_ms.toFixed(0)} ms are computing`;
    }
    return `${clock(stream.seconds)} of speech${delay}`;
  };
  stream = new Stream(source.rate, token, (event) => show(event, figures), end);
  stop = {
    close: source.close,
    finish: () => {
      stopped = true;
      source.close();
      stream.finish();
    },
  };
  element("level").hidden = false;
  showState();
}

async function runFile(file) {
  notify();
  let source;
  try {
    source = await openFile(file);
  } catch (error) {
    notify(error.message);
    return;
  }
  const began = performance.now();
  const figures = (event) => {
    const seconds = (performance.now() - began) / 1000;
    return `${clock(event.end)} of ${clock(source.seconds)}; ${(event.end / seconds).toFixed(1)} times as fast as speech`;
  };
  const stream = new Stream(source.rate, token, (event) => show(event, figures), end);
  let stopped = false;
  stop = { close() {}, finish() { stopped = true; } };
  showState();
  await stream.opened;
  for (const block of source.blocks) {
    await stream.room();
    if (stopped || !stream.isOpen) break;
    stream.send(block);
  }
  stream.finish();
}

async function connect() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch("v1/models", { headers });
  } catch {
    notify("The server cannot be reached.");
    return;
  }
  const isOpen = answer.ok;
  element("access").hidden = isOpen || answer.status !== 401;
  element("controls").hidden = !isOpen;
  if (!isOpen) {
    element("server").textContent = "";
    notify(answer.status === 401 ? (token && "This token is wrong.") : (await answer.json()).error.message);
    if (answer.status === 401) element("token").focus();
    return;
  }
  sessionStorage.setItem("token", token);
  const [model] = (await answer.json()).data;
  element("server").textContent = `bundle ${model.id}; audio goes to ${location.host} and nowhere else`;
  element("microphone").disabled = !hasMicrophone();
  notify(hasMicrophone() ? "" : NO_MICROPHONE);
  showState();
}

element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  connect();
});
element("microphone").addEventListener("click", runMicrophone);
offerFiles(element("open"), element("file"), runFile);
element("stop").addEventListener("click", () => {
  element("stop").disabled = true;
  stop?.finish();
});
element("copy").addEventListener("click", async () => {
  const lines = [...element("segments").children].map((line) =>
    [...line.querySelectorAll("span")].map((span) => span.textContent).join(" "));
  try {
    await navigator.clipboard.writeText(`${lines.join("\n")}\n`);
  } catch {
    getSelection().selectAllChildren(element("segments")); // without https: ready for the keys that copy
  }
});
element("clear").addEventListener("click", () => {
  element("segments").replaceChildren();
  element("figures").textContent = "";
  showState();
});
connect();
