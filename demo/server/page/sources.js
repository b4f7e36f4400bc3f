// Where the samples come from: the microphone, block by block, or a file, which the browser decodes.

const FILE_RATE = 16000;
const FILE_BLOCK = FILE_RATE; // samples

export const hasMicrophone = () => Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);

/**
 * Open the microphone; `take` is called with each block of samples from -1 to 1, and `lost` if it is disconnected.
 * `processing` lets the browser cancel echoes, suppress noise and control the gain.
 */
export async function openMicrophone(take, { processing = false, lost = () => {} } = {}) {
  const media = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: processing, noiseSuppression: processing, autoGainControl: processing },
  });
  media.getAudioTracks()[0].onended = lost; // not called when `close` stops it
  const context = new AudioContext();
  const close = () => {
    media.getTracks().forEach((track) => track.stop());
    return context.state === "closed" ? undefined : context.close();
  };
  try {
    await context.resume();
    await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
    recorder.port.onmessage = ({ data }) => take(data);
    context.createMediaStreamSource(media).connect(recorder).connect(context.destination); // its output is silence
  } catch (error) {
    await close();
    throw error;
  }
  return { rate: context.sampleRate, close };
}

/** Let a button and a file input offer files; `take` is called with the one that is chosen. */
export function offerFiles(button, input, take) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) take(file);
    input.value = "";
  });
}

/** Decode a file to one channel; returns its rate, its length in seconds, and its blocks, or throws a sentence. */
export async function openFile(file) {
  const decoded = await decode(file);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  function* blocks() {
    for (let start = 0; start < decoded.length; start += FILE_BLOCK) {
      const block = channels[0].slice(start, start + FILE_BLOCK);
      for (const channel of channels.slice(1)) {
        channel.subarray(start, start + FILE_BLOCK).forEach((sample, index) => { block[index] += sample; });
      }
      yield channels.length === 1 ? block : block.map((sample) => sample / channels.length);
    }
  }
  return { rate: FILE_RATE, seconds: decoded.duration, blocks: blocks() };
}

async function decode(file) {
  try {
    return await new OfflineAudioContext(1, 1, FILE_RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error(`This browser cannot read ${file.name} as audio; choose another file.`);
  }
}

/** The largest sample of a block, from 0 to 1 on a scale of 60 dB. */
export function level(block) {
  const peak = block.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1e-6);
  return Math.min(1, Math.max(0, 1 + Math.log10(peak) / 3));
}
