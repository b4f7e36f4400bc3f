// The form with the settings, which the browser remembers.

const KEY = `edgespeech settings ${location.pathname}`;
const CHUNK_KEY = `edgespeech chunk ${location.pathname}`;
const USUAL_BOOST = 8;
const MAX_BOOST = 100;

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** Storage that is forbidden, as in some private windows, holds nothing. */
function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch { /* as above */ }
}

/** Read hot words, one phrase in each line with its boost behind a colon. */
export function parseHotWords(text) {
  const found = {};
  for (const line of lines(text)) {
    const [, phrase, given] = /^(.*?)(?::([^:]*))?$/.exec(line);
    const boost = given === undefined ? USUAL_BOOST : Number(given);
    if (!phrase.trim() || !(boost > 0 && boost <= MAX_BOOST)) {
      throw new Error(`Hot words: "${line}" is not a phrase, or a phrase with a boost above 0 and up to 100 behind a colon.`);
    }
    found[phrase.trim()] = boost;
  }
  return found;
}

export class Settings {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    let stored = {};
    try {
      stored = JSON.parse(remembered(KEY)) ?? {};
    } catch { /* of another version */ }
    for (const field of form.elements) {
      if (!(field.name in stored)) continue;
      if (field.type === "checkbox") field.checked = stored[field.name] === true;
      else field.value = stored[field.name];
    }
  }

  get fields() {
    return this.form.elements;
  }

  get processing() {
    return this.fields.processing.checked;
  }

  /** Remember the form; returns a sentence if it has a mistake. */
  store() {
    for (const field of this.form.elements) {
      if (!field.checkValidity()) return `${field.labels[0].textContent}: ${field.validationMessage}`;
    }
    try {
      parseHotWords(this.fields.hotWords.value);
    } catch (error) {
      return error.message;
    }
    const named = [...this.form.elements].filter((field) => field.name);
    remember(KEY, JSON.stringify(Object.fromEntries(
      named.map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]),
    )));
    return "";
  }

  /** Settings for which a model must be loaded again. */
  forEngine() {
    const grammar = lines(this.fields.grammar.value);
    return {
      endpointSeconds: Number(this.fields.endpointSeconds.value) || 1,
      grammar: grammar.length ? grammar : null,
      useLm: this.fields.useLm.checked,
      chunkMs: Number(this.fields.chunkMs.value) || null,
      suitedChunkMs: Number(remembered(CHUNK_KEY)) || null,
    };
  }

  /** Settings of a stream. */
  forStream() {
    let hotWords = {};
    try {
      hotWords = this.fields.grammar.value.trim() ? {} : parseHotWords(this.fields.hotWords.value);
    } catch { /* `store` has said so */ }
    return { hotWords, fastPartials: this.fields.fastPartials.checked };
  }

  /** Remember which chunk suits this device, so that the next visit does not measure again. */
  rememberChunk(milliseconds) {
    if (!this.fields.chunkMs.value) remember(CHUNK_KEY, milliseconds);
  }
}
