// Finals as text, SubRip and WebVTT; cues are cut as by `edgespeech transcribe --format srt` (runtime/formats.py).

const LINE_WIDTH = 42; // characters
const LINES_PER_CUE = 2;
const MIN_CUE_SECONDS = 0.8;
const MAX_CUE_SECONDS = 7;
const MAX_LETTERS_PER_SECOND = 20;
const UNKNOWN = "<unknown>"; // what a grammar has for other speech

// Characters that take two columns, such as those of Chinese, Japanese and Korean.
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{20000}-\u{3fffd}]/gu;

/** @typedef {{word: string, start: number, end: number, joined?: boolean}} Word */

/** @param {string} text */
const width = (text) => text.length + (text.match(WIDE) ?? []).reduce((sum, wide) => sum + 2 - wide.length, 0);

/** @param {Word[]} words */
function wrap(words) {
  const lines = [];
  for (const { word, joined } of words) {
    const longer = lines.length ? `${lines.at(-1)}${joined ? "" : " "}${word}` : word;
    if (lines.length && width(longer) <= LINE_WIDTH) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

const fits = (words) => words.at(-1).end - words[0].start <= MAX_CUE_SECONDS && wrap(words).length <= LINES_PER_CUE;

/** Decide whether the last cue of a segment, which the next one may follow at once, needs another word. */
function shouldMoveAWord(before, last) {
  const enough = before.length > 1 && before.at(-2).end - before[0].start >= MIN_CUE_SECONDS;
  return last.at(-1).end - last[0].start < MIN_CUE_SECONDS && enough && fits([before.at(-1), ...last]);
}

/** @param {Word[]} words */
function cut(words) {
  const pieces = [];
  let waiting = [];
  for (const word of words) {
    if (waiting.length && !fits([...waiting, word])) {
      pieces.push(waiting);
      waiting = [];
    }
    waiting.push(word);
  }
  if (waiting.length) pieces.push(waiting);
  while (pieces.length > 1 && shouldMoveAWord(pieces.at(-2), pieces.at(-1))) pieces.at(-1).unshift(pieces.at(-2).pop());
  return pieces;
}

/** Let each cue stay as long as it takes to read, as far as the next one leaves room. */
function cues(finals) {
  const found = finals.flatMap(({ words }) => cut(words)).map((words) => {
    const [start, lines] = [words[0].start, wrap(words)];
    const letters = lines.reduce((sum, line) => sum + width(line), 0);
    return { start, end: words.at(-1).end, lines, needed: Math.max(MIN_CUE_SECONDS, letters / MAX_LETTERS_PER_SECOND) };
  });
  found.forEach((cue, index) => {
    const room = found[index + 1]?.start ?? Infinity;
    cue.end = Math.max(cue.start, cue.end, Math.min(cue.start + cue.needed, room));
  });
  return found;
}

function timestamp(milliseconds, mark) {
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  const seconds = Math.floor(milliseconds / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${pad(hours)}:${pad(minutes)}:${pad(seconds % 60)}${mark}${pad(milliseconds % 1000, 3)}`;
}

function span(cue, mark) {
  const start = Math.round(cue.start * 1000);
  const end = Math.max(start + 1, Math.round(cue.end * 1000)); // players refuse a cue that ends as it begins
  return `${timestamp(start, mark)} --> ${timestamp(end, mark)}`;
}

export const toText = (finals) => finals.map(({ text }) => `${text}\n`).join("");

export function toSrt(finals) {
  const block = (cue, index) => {
    const text = cue.lines.join("\n").replaceAll("<", "[").replaceAll(">", "]"); // players take <unknown> for a tag
    return `${index + 1}\n${span(cue, ",")}\n${text}\n\n`;
  };
  return cues(finals).map(block).join("");
}

export function toVtt(finals) {
  const block = (cue) => {
    const text = cue.lines.join("\n").replaceAll(UNKNOWN, "[unknown]");
    return `${span(cue, ".")}\n${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}\n\n`;
  };
  return `WEBVTT\n\n${cues(finals).map(block).join("")}`;
}
