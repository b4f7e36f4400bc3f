/** Words of a label sequence: their times, their certainty, and the probability of the hypotheses that contain them. */

/**
 * A word with the output frames of its first and its last label, the number of its labels, and the sum of their
 * natural-log probabilities, each in its own frame. Never changed in place.
 *
 * @typedef {{word: string, first: number, last: number, labels: number, logProb: number}} Span
 */

/** @type {Span} */
export const NO_WORD = { word: "", first: 0, last: 0, labels: 0, logProb: 0 };

/**
 * The geometric mean of the labels' probabilities, to a power.
 *
 * @param {Span} span
 * @param {number} power
 */
export const certainty = (span, power) => (span.labels ? Math.exp((power * span.logProb) / span.labels) : 1);

/**
 * Whether a label contains a space; where none does, each character is a word.
 *
 * @param {readonly string[]} labels
 */
export const anySpace = (labels) => labels.some((text) => text.includes(" "));

/**
 * The text of a label, divided where words end: at its spaces, or behind each character. Each part but the last one ends
 * a word, and may be empty.
 *
 * @param {string} text
 * @param {boolean} byCharacters
 */
export const separateWords = (text, byCharacters) => (byCharacters ? [...text, ""] : text.split(" "));

/**
 * The text of words; those that are joined follow without a space.
 *
 * @param {readonly {word: string, joined: boolean}[]} words
 */
export const joinWords = (words) => words.map(({ word, joined }, at) => (at && !joined ? ` ${word}` : word)).join("");

/**
 * Append a label to an incomplete word, and the words that it ends to `ended`.
 *
 * @param {Span} word
 * @param {readonly string[]} pieces The label as `separateWords` has divided it.
 * @param {number} frame
 * @param {number} logProb
 * @param {Span[]} ended
 * @returns {Span} The incomplete word after the label.
 */
export function appendLabel(word, pieces, frame, logProb, ended) {
  const [first, ...rest] = pieces;
  if (first) {
    word = {
      word: word.word + first,
      first: word.word ? word.first : frame,
      last: frame,
      labels: word.labels + 1,
      logProb: word.logProb + logProb,
    };
  }
  for (const piece of rest) {
    if (word.word) ended.push(word);
    word = piece ? { word: piece, first: frame, last: frame, labels: 1, logProb } : NO_WORD;
  }
  return word;
}

/**
 * Total probability of the hypotheses that contain the same word at the same time.
 *
 * Two hypotheses agree on a word if both contain it in overlapping frames. Its position in the sentence does not count,
 * so that an inserted word does not spoil the confidence of the words after it.
 */
export class Agreement {
  /** @type {Map<string, Map<string, {first: number, last: number, mass: number}>>} */
  #spans = new Map();

  /**
   * Add a word of hypotheses that together have this probability.
   *
   * @param {Span} span
   * @param {number} mass
   */
  add(span, mass) {
    let spans = this.#spans.get(span.word);
    if (!spans) this.#spans.set(span.word, (spans = new Map()));
    const key = `${span.first} ${span.last}`;
    const found = spans.get(key);
    if (found) found.mass += mass;
    else spans.set(key, { first: span.first, last: span.last, mass });
  }

  /**
   * The total probability, in [0, 1], of the hypotheses that agree on a word.
   *
   * @param {Span} span
   */
  mass(span) {
    let total = 0;
    for (const { first, last, mass } of this.#spans.get(span.word)?.values() ?? []) {
      if (first <= span.last && span.first <= last) total += mass;
    }
    return Math.min(1, total);
  }
}
