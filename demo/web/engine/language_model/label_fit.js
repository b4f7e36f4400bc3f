/** Whether a language model and the labels of an acoustic model fit each other. */

import { languageModelError } from "../errors.js";

// With fewer of its words, a language model makes more errors than none; fractions of running words.
const MIN_SPELLED_FRACTION = 0.5;
const ALL_SPELLED_FRACTION = 0.95; // below this, a warning
/** How a language model of characters writes the space. */
export const SPACE_TOKEN = "\u2581";

/**
 * @param {readonly string[]} labels
 * @param {import("./language_model.js").LanguageModel} lm
 * @param {boolean} characters Whether it is a language model of characters.
 * @returns {string} A warning; empty if there is none.
 * @throws {EdgespeechError} They do not fit.
 */
export function checkFit(labels, lm, characters) {
  const spaces = labels.some((text) => text.includes(" "));
  if (!characters && !spaces) {
    throw languageModelError(
      "a word language model needs word boundaries, but no label contains a space; decode without it, " +
        "or use a language model of characters",
    );
  }
  if (characters && spaces && !lm.vocabulary.has(SPACE_TOKEN)) {
    throw languageModelError(
      `the language model of characters does not know ${SPACE_TOKEN}, which stands for the labels' space; ` +
        `build it from text whose spaces are written ${SPACE_TOKEN}`,
    );
  }
  const alphabet = new Set(labels.join("") + (characters ? SPACE_TOKEN : ""));
  let spelled = 0;
  let all = 0;
  lm.vocabulary.words.forEach((word, index) => {
    const probability = Math.exp(lm.unigrams[index]);
    all += probability;
    for (const letter of word) if (!alphabet.has(letter)) return;
    spelled += probability;
  });
  const fraction = all ? spelled / all : 1;
  const advice = "build it from text normalised to these labels (same case, same characters)";
  const percent = `${Math.round(100 * fraction)} % of the language model's running words`;
  if (fraction < MIN_SPELLED_FRACTION) {
    throw languageModelError(`the labels can spell ${percent}, wanted 50 % or more; ${advice}, or decode without it`);
  }
  return fraction < ALL_SPELLED_FRACTION ? `the labels can spell only ${percent}; ${advice}` : "";
}
