/** A sorted list of words, with look-ups of beginnings. The order is that of UTF-16 code units. */

const MARKERS = new Set(["<s>", "</s>", "<unk>", "<UNK>", ""]);

export class Vocabulary {
  /** @param {Iterable<string>} words Sentence markers and `<unk>` are left out. */
  constructor(words) {
    this.words = [...new Set(words)].filter((word) => !MARKERS.has(word)).sort();
  }

  get size() {
    return this.words.length;
  }

  /**
   * The number of words that sort before a text.
   *
   * @param {string} text
   */
  index(text) {
    let low = 0;
    let high = this.words.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.words[middle] < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {string} word */
  has(word) {
    return this.words[this.index(word)] === word;
  }

  /**
   * Whether some word begins with, or equals, a text.
   *
   * @param {string} text
   */
  isPrefix(text) {
    const index = this.index(text);
    return index < this.words.length && this.words[index].startsWith(text);
  }

  /**
   * The first index after those of the words that begin with a text.
   *
   * @param {string} text
   * @param {number} first Index of a word that does not sort before the text.
   */
  endOf(text, first) {
    let low = first;
    let high = this.words.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.words[middle].startsWith(text)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether there are words and each is a single character. */
  isOfCharacters() {
    return this.words.length > 0 && this.words.every((word) => [...word].length === 1);
  }
}
