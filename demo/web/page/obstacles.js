// What can be in the way, each as a sentence that says what to do.

export const PLAIN_HTTP =
  "Browsers allow a page to use the microphone only over https or on localhost. Open this page by its https address, or choose a file.";

// The smallest module with an instruction of 128 bits: () -> v128, i32.const 0, i8x16.splat.
const WITH_SIMD = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 0x0a, 8, 1, 6, 0, 0x41, 0, 0xfd, 0x0f, 0x0b,
]);

/** Return a sentence if this browser cannot run the page at all. */
export function findObstacle() {
  if (typeof WebAssembly !== "object") {
    return "WebAssembly is switched off in this browser, which some security modes do. Allow it for this page, or use another browser.";
  }
  if (!WebAssembly.validate(WITH_SIMD)) {
    return "This browser or processor has no WebAssembly SIMD, which the page needs. Update the browser (Chrome 91, Firefox 89, Safari 16.4 or newer).";
  }
  if (location.protocol === "file:") {
    return "A page that is opened as a file cannot load its parts. Serve the folder, for example with: edgespeech web FOLDER --serve";
  }
  return "";
}

/** Return what to do about a microphone that did not open. */
export function microphoneAdvice({ name, message }) {
  const known = {
    NotAllowedError: "The microphone is not allowed for this page. Allow it in the browser's settings for this page, or by the sign in its address bar, and try again.",
    NotFoundError: "No microphone was found. Connect one and try again, or choose a file.",
    NotReadableError: "The microphone is used by another program, or the system does not give it. Close the other program and try again.",
  };
  return known[name] ?? `The microphone does not open: ${message}. Try again, or choose a file.`;
}

/** Return a sentence for an error of the worker. */
export function engineAdvice({ name, message }) {
  if (name === "RangeError" || /memory|allocat/i.test(message)) {
    return "There is too little free memory: the page needs about 300 MB. Close other tabs and programs, then reload the page.";
  }
  if (name === "TypeError" && /fetch|network|load failed/i.test(message)) {
    return "The download was interrupted. Check the connection, then reload the page.";
  }
  return sentence(message);
}

/** Write a line of the engine as a sentence; a file's name at its beginning stays as it is. */
export function sentence(line) {
  const begun = /^[a-z]+[ ,]/.test(line) ? line[0].toUpperCase() + line.slice(1) : line;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
