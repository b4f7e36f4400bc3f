// In the place of onnxruntime-web: returns the log-probabilities that were recorded, if the samples are those recorded.

class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}

/**
 * @param calls Samples of each call (`sizes`), the number of the call (-1: none) whose state it was given (`states`), and
 *   the samples to the end of the recording in the state `endState`, if they were given (`ends`, else -1).
 */
export function recordedOrt(calls, samples, logProbs) {
  const report = { calls: calls.sizes.length, done: 0, largest: 0, wrongStates: 0 };
  let sample = 0;
  let value = 0;
  const run = async (feeds) => {
    const call = report.done++;
    const size = calls.sizes[call];
    const given = feeds[calls.inputs[0]].data;
    if (given.length !== size) throw new Error(`call ${call} has ${given.length} samples, wanted ${size}`);
    for (let at = 0; at < size; at++) report.largest = Math.max(report.largest, Math.abs(given[at] - samples[sample + at]));
    for (const name of calls.inputs.slice(1)) {
      const end = name === calls.endState ? calls.ends[call] : -1;
      const isRight = end < 0 ? (feeds[name].call ?? -1) === calls.states[call] : feeds[name].data.every((one) => one === end);
      if (!isRight) report.wrongStates++;
    }
    sample += size;
    const count = (size / calls.frame) * calls.labels;
    const result = { [calls.outputs[0]]: new Tensor("float32", logProbs.slice(value, value + count), [1, count / calls.labels, calls.labels]) };
    value += count;
    for (const name of calls.outputs.slice(1)) {
      result[name] = Object.assign(new Tensor("float32", new Float32Array(1), [1, 1]), { call });
    }
    return result;
  };
  const session = { inputNames: calls.inputs, outputNames: calls.outputs, run, release: async () => {} };
  return { InferenceSession: { create: async () => session }, Tensor, report };
}
