// onnxruntime-web from its two files. Node cannot fetch file: addresses, so the WebAssembly is given as bytes; without
// them, the script looks for a third file.
import { readFileSync } from "node:fs";

export async function loadOrt(address) {
  const ort = await import(address);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = readFileSync(new URL("ort-wasm-simd-threaded.wasm", address));
  return ort;
}
