/** The error of the engine; its message is one line for the user: what came, what was wanted, what to do. */
export class EdgespeechError extends Error {
  /**
   * @param {import("./recognizer.d.ts").EdgespeechError["name"]} name
   * @param {string} message
   */
  constructor(name, message) {
    super(message.replace(/\s+/g, " ").trim());
    this.name = name;
  }
}

/** @param {string} message */
export const usageError = (message) => new EdgespeechError("UsageError", message);

/** @param {string} message */
export const audioError = (message) => new EdgespeechError("AudioError", message);

/** @param {string} message */
export const bundleError = (message) => new EdgespeechError("BundleError", message);

/** @param {string} message */
export const languageModelError = (message) => new EdgespeechError("LanguageModelError", message);
