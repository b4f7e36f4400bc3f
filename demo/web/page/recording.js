// The sound that was recognised, for export: 16-bit samples in Blobs, which browsers keep outside of the page's memory.

const PART_SECONDS = 10;

export class Recording {
  constructor() {
    this.clear();
  }

  clear() {
    this.rate = 0;
    this.parts = []; // Blobs
    this.waiting = []; // Int16Arrays
    this.samples = 0;
    this.waitingSamples = 0;
  }

  get seconds() {
    return this.rate ? this.samples / this.rate : 0;
  }

  /** Add 16-bit samples. */
  add(samples, rate) {
    this.rate = rate;
    this.waiting.push(samples);
    this.samples += samples.length;
    this.waitingSamples += samples.length;
    if (this.waitingSamples >= PART_SECONDS * rate) this.pack();
  }

  pack() {
    this.parts.push(new Blob(this.waiting));
    this.waiting = [];
    this.waitingSamples = 0;
  }

  /** Return everything as a WAV file. */
  wav() {
    this.pack();
    const bytes = 2 * this.samples;
    const header = new DataView(new ArrayBuffer(44));
    const text = (at, letters) => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
    text(0, "RIFF");
    header.setUint32(4, 36 + bytes, true);
    text(8, "WAVEfmt ");
    header.setUint32(16, 16, true); // size of this part
    header.setUint16(20, 1, true); // integers
    header.setUint16(22, 1, true); // channels
    header.setUint32(24, this.rate, true);
    header.setUint32(28, 2 * this.rate, true); // bytes per second
    header.setUint16(32, 2, true); // bytes per frame
    header.setUint16(34, 16, true); // bits per sample
    text(36, "data");
    header.setUint32(40, bytes, true);
    return new Blob([header, ...this.parts], { type: "audio/wav" });
  }
}
