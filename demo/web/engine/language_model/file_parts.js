/** The consecutive parts of a KenLM binary. */

import { languageModelError } from "../errors.js";

/** Divides a file into consecutive parts, none of which reaches beyond its end. */
export class Parts {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bytes = bytes;
    this.at = 0;
  }

  /** @param {number} size */
  take(size) {
    const start = this.at;
    this.at += size;
    if (!(this.at <= this.bytes.length)) throw damaged(`ends after ${this.bytes.length} bytes, wanted ${this.at} or more`);
    return start;
  }

  /** @param {number} at */
  uint64(at) {
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
  }
}

/** @param {string} why */
export const damaged = (why) =>
  languageModelError(`the language model is damaged or not a KenLM binary: it ${why}; build or copy it again`);
