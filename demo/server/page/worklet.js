// The audio thread: it copies blocks and posts them, nothing else.

const BLOCK = 2048; // samples: 43 ms at 48 kHz

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.count = 0;
  }

  process(inputs) {
    const samples = inputs[0][0];
    for (let start = 0; samples && start < samples.length;) {
      const piece = samples.subarray(start, start + BLOCK - this.count);
      this.block.set(piece, this.count);
      this.count += piece.length;
      start += piece.length;
      if (this.count === BLOCK) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.block = new Float32Array(BLOCK);
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
