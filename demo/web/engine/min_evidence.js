/**
 * Rejection of segments whose words are probably noise, by the acoustic model alone.
 *
 * The evidence for a text is log p_ctc(text | audio) - log p_ctc(empty text | audio), where the empty text is the blank
 * in every frame. Noise collects tens of nats as well, but few for each label and few for each second.
 */

import { joinWords } from "./decoder/word_times.js";

export const DEFAULT_MIN_EVIDENCE = 12; // nats per word
// Of the longest word: noise is decoded as single letters, and hardly anyone says only "i". Characters that are words
// count together.
const MIN_LETTERS = 2;
const LABELS_PER_WORD = 12 / 2.75; // of English text: 12 nats per word are 2.75 nats per label
const MIN_NATS_PER_SECOND = 16; // from the first label to the last: noise becomes labels that are far apart

/**
 * Whether the best hypothesis of a finished segment is probably speech.
 *
 * @param {import("./recognizer.d.ts").Hypothesis} hypothesis
 * @param {number} blankScore Sum of the blank's natural-log probabilities over the frames of the segment.
 * @param {number} natsPerWord 0 accepts every segment.
 * @param {number} minConfidence Minimum mean confidence of the words.
 */
export function isSpeech({ words, labels, acoustic_score }, blankScore, natsPerWord, minConfidence) {
  if (!natsPerWord) return true;
  if (!joinWords(words).split(" ").some((word) => [...word].length >= MIN_LETTERS)) return false;
  const evidence = acoustic_score - blankScore;
  const enough = evidence >= (natsPerWord / LABELS_PER_WORD) * labels.length;
  const dense = evidence >= MIN_NATS_PER_SECOND * (words[words.length - 1].end - words[0].start);
  const confident = words.reduce((sum, { confidence }) => sum + confidence, 0) >= minConfidence * words.length;
  return enough && dense && confident;
}
