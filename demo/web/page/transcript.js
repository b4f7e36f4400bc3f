// The transcript on the page, and its finals for export.

import { toSrt, toText, toVtt } from "./subtitles.js";

const DOUBTFUL = 0.5; // confidence
const FORMATS = { txt: toText, srt: toSrt, vtt: toVtt };

export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

export class Transcript {
  constructor(list, committed, tentative) {
    Object.assign(this, { list, committed, tentative, finals: [] });
  }

  get isEmpty() {
    return this.finals.length === 0;
  }

  show(event) {
    if (event.type === "partial") {
      this.committed.textContent = event.committed;
      this.tentative.textContent = event.tentative;
      return;
    }
    this.clearPresent();
    this.finals.push({ text: event.text, words: event.words.map(({ confidence, ...kept }) => kept) });
    const atEnd = window.innerHeight + window.scrollY > document.body.offsetHeight - 100;
    this.list.append(line(event));
    if (atEnd) this.committed.parentNode.scrollIntoView({ block: "end" });
  }

  clearPresent() {
    this.committed.textContent = this.tentative.textContent = "";
  }

  clear() {
    this.finals = [];
    this.list.replaceChildren();
    this.clearPresent();
  }

  /** Return all finals in a format: txt, srt or vtt. */
  text(format) {
    return FORMATS[format](this.finals);
  }
}

function line({ start, end, words }) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = `${clock(start)} to ${clock(end)}`;
  const text = document.createElement("span");
  text.className = "words";
  words.forEach(({ word, confidence, joined }, index) => {
    if (index && !joined) text.append(" ");
    if (confidence >= DOUBTFUL) {
      text.append(word);
      return;
    }
    const doubtful = document.createElement("span");
    doubtful.className = "doubtful";
    doubtful.title = `confidence ${confidence.toFixed(2)}`;
    doubtful.textContent = word;
    text.append(doubtful);
  });
  text.normalize();
  item.append(time, text);
  return item;
}
