/**
 * Streaming speech recognition with a bundle of edgespeech, in a page, in a worker or in Node.
 *
 *     import * as ort from "onnxruntime-web/wasm";
 *     import { createRecognizer } from "edgespeech-web";
 *
 *     const recognizer = await createRecognizer("bundle/", { ort });
 *     await recognizer.warmUp();
 *     const stream = recognizer.createStream();
 *     for (const event of await stream.accept(samples, 48000)) console.log(event.type, event.text);
 *     for (const event of await stream.finish()) console.log(event.type, event.text);
 *
 * Text, scores and times are those of the Python package on the same log-probabilities. Times are seconds from the
 * beginning of the stream, scores are natural logarithms, and numbers are not rounded.
 */

/** What is used of `onnxruntime-web/wasm`. Set `ort.env.wasm.wasmPaths` and `numThreads = 1` before the first call. */
export interface Ort {
  InferenceSession: { create(model: Uint8Array, options?: object): Promise<OrtSession> };
  Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OrtTensor;
}

export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

export interface OrtTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** The files of a bundle by name: `bundle.json`, `acoustic.onnx`, and `lm.bin` if it has one and it is used. */
export type BundleFiles = Record<string, ArrayBuffer | Uint8Array>;

/** Settings; those that are left out have the values of the bundle, or the default that is named. */
export interface RecognizerOptions {
  /** onnxruntime-web, as imported from `onnxruntime-web/wasm`. */
  ort: Ort;
  /** Called while the files are fetched. `total` is the sum of the sizes in `bundle.json`, before compression. */
  onProgress?: (loaded: number, total: number) => void;
  /** Signal that stops fetching. */
  signal?: AbortSignal;
  /** Another language model to use instead of the bundle's: a KenLM trie, quantized and with compressed pointers. */
  lm?: ArrayBuffer | Uint8Array;
  /** Whether to use a language model; `lm.bin` is not fetched without it. Default true. */
  useLm?: boolean;
  /** Number of hypotheses that the beam search keeps. */
  beamWidth?: number;
  /** Weight of the language model, 0 to 100. */
  alpha?: number;
  /** Natural log added for each word, -100 to 100. */
  beta?: number;
  /** Natural log, at most 0, added to the score of an out-of-vocabulary word. */
  unknownScore?: number;
  /** Expected phrases, each with the natural log (above 0, up to 100; 8 is usual) that a text gains by it. */
  hotWords?: Record<string, number>;
  /** Closed grammar: only these phrases and `<unknown>` can be recognised. Excludes language model and hot words. */
  grammar?: string[];
  /** Natural log added for each letter of speech outside the grammar, -20 to below 0. Default -2. */
  fillerScore?: number;
  /** Number of hypotheses in finals. Default 1. */
  nbest?: number;
  /** Seconds of silence after speech that end a segment; null disables the rule, as below. Default 1. */
  endpointSeconds?: number | null;
  /** Seconds of silence after which a segment starts again if nothing was said. Default 5. */
  emptySeconds?: number | null;
  /** Seconds after which a segment ends at the next pause between words, or after twice that at any. Default 30. */
  longestSeconds?: number | null;
  /** Minimum acoustic evidence of a segment, in nats per word; 0 accepts every segment. Default 12. */
  minEvidence?: number;
  /** Audio per step in milliseconds, a multiple of a frame (30 ms), if the graph allows it. Default: the bundle's. */
  chunkMs?: number;
  /**
   * Unit of language model and hot words; by default characters where no label contains a space, and else derived from
   * the words of the model. Where no label contains a space, characters are also the words of the result.
   */
  unit?: "word" | "character";
  /**
   * A frame extends prefixes by the fewest labels whose probabilities reach this sum; 1 takes all. Default 0.99, or 1
   * with a grammar.
   */
  symbolMass?: number;
  /** Maximum number of labels per frame, blank included; null removes the limit. Default 40. */
  maxSymbols?: number | null;
  /** Prefixes that score this much (natural log) below the best are dropped; null keeps them. Default 18. */
  beamThreshold?: number | null;
  /** Number of tentative labels after which the older half is decided; null lets them grow. Default 128. */
  maxTentative?: number | null;
  /** Exponent applied to the geometric mean of a word's label probabilities. Default 1.3. */
  confidencePower?: number;
}

/**
 * Fetch and check a bundle, and load its model.
 *
 * @param bundle URL of the bundle's folder, or its files. The SHA-256 of every file is compared with `bundle.json`
 *   where the platform has `crypto.subtle` (https, localhost, Node 20), its size everywhere. The arrays must not change
 *   afterwards; that of the graph is not used any more.
 * @throws {EdgespeechError} A file or a setting is invalid.
 */
export function createRecognizer(bundle: string | URL | BundleFiles, options: RecognizerOptions): Promise<Recognizer>;

/** One model in memory, ready for any number of streams. */
export interface Recognizer {
  /** Sample rate of the model in hertz; audio of another rate is resampled. */
  readonly sampleRate: number;
  /** Samples per step of the model. */
  readonly chunkSamples: number;
  /** The content of `bundle.json`. */
  readonly manifest: Record<string, any>;
  /** What the user should know about the settings, such as a language model that fits the labels badly; often empty. */
  readonly warnings: readonly string[];
  /** Process a chunk of silence and forget it: the first chunk of a session takes up to a second. */
  warmUp(): Promise<void>;
  /** Begin a stream. */
  createStream(options?: StreamOptions): Stream;
  /** Give the memory of the model back; its streams cannot be used afterwards. */
  close(): Promise<void>;
}

export interface StreamOptions {
  /** Sample rate of the audio in hertz, 1000 to 768000. Default: that of the first call of `accept`, or the model's. */
  sampleRate?: number;
  /**
   * Whether partials cover all audio so far, with the look-ahead padded, instead of waiting for it (300 ms). Finals are
   * the same; model and search compute twice as much. Default false.
   */
  fastPartials?: boolean;
  /**
   * Milliseconds of audio per step of the model in this stream; default: that of the recognizer. A recording of which
   * nobody waits for the first words takes 0.6 of the computing with 2400 ms.
   */
  chunkMs?: number;
}

/**
 * Recognises audio as it arrives. The model always receives the same chunks, so that the text does not depend on how
 * the audio is cut. Calls may overlap: each waits for those before it.
 */
export interface Stream {
  /**
   * Process mono samples in [-1, 1]; values outside are clipped. The array may be used again after the call returns.
   *
   * @param sampleRate Hertz; it cannot change within a stream.
   * @returns `partial` events where the text changed, and a `final` for each segment that ended.
   * @throws {EdgespeechError} The samples or the rate are invalid, or the stream is finished.
   */
  accept(samples: Float32Array, sampleRate?: number): Promise<RecognitionEvent[]>;
  /** End the segment now, as if silence followed, and keep listening. */
  endSegment(): Promise<RecognitionEvent[]>;
  /** End the stream: decode the rest, with a little silence after it, and make the last segment final. */
  finish(): Promise<RecognitionEvent[]>;
  /** Change the hot words from the next segment on, or from this one if none of its frames has been decoded. */
  setHotWords(hotWords: Record<string, number>): void;
  /** Seconds of audio accepted so far. */
  readonly secondsProcessed: number;
  /** Seconds from the beginning of the stream to that of the present segment; no later final begins before it. */
  readonly segmentStart: number;
  /** Level of the loudest recent speech in dB of full scale, before amplification; null before any speech. */
  readonly speechLevel: number | null;
  /** A sentence for the user if the speech so far is too quiet to be recognised well, else empty. */
  readonly levelWarning: string;
}

/** An event, with the keys that `edgespeech live --json` prints. */
export type RecognitionEvent = PartialEvent | FinalEvent;

interface EventFields {
  /** All text of the segment so far: `committed + tentative`. A partial is empty if it takes words back. */
  text: string;
  /** The beginning of `text` that will not change any more. */
  committed: string;
  /** The rest of `text`. */
  tentative: string;
  /** Seconds to the beginning of the segment; in a final, to that of its first word. */
  start: number;
  /** Seconds to the end of the audio that the text covers; in a final, to the end of its last word. */
  end: number;
  /** Compute time: milliseconds from the arrival of the last samples used to this event. */
  latency_ms: number;
}

export interface PartialEvent extends EventFields {
  type: "partial";
}

export interface FinalEvent extends EventFields {
  type: "final";
  words: Word[];
  /** Hypotheses of the segment, best first; as many as the option `nbest`, if the search has so many. */
  nbest: Hypothesis[];
}

export interface Word {
  word: string;
  start: number;
  end: number;
  /** Estimate, in [0, 1], that the word is right. */
  confidence: number;
  /** Whether it follows the word before it without a space: where no label contains a space, characters are words. */
  joined: boolean;
}

/** `score = acoustic_score + alpha * lm_score + beta * words.length + hot_word_score`. */
export interface Hypothesis {
  text: string;
  words: Word[];
  score: number;
  /** log p_ctc(labels | audio), summed over the alignments that the beam kept. */
  acoustic_score: number;
  /** log p_lm(words), including out-of-vocabulary penalties; 0 without a language model. */
  lm_score: number;
  /** Boosts of hot words; with a grammar, the cost of speech outside it. */
  hot_word_score: number;
  /** Label indices without blanks. */
  labels: number[];
  /** Output frame in which each label was emitted, from the beginning of the stream. */
  frames: number[];
}

/** Converts the sample rate of one mono stream, as streams do by themselves; for a page that keeps what was recognised. */
export class Resampler {
  /**
   * @param fromRate Hz of the input, a whole number from 1000 to 768000, as the next.
   * @throws {EdgespeechError} A rate is invalid.
   */
  constructor(fromRate: number, toRate: number);
  /** Convert the samples that are ready; with `last`, also those that the filter holds. */
  step(samples: Float32Array, last?: boolean): Float32Array;
}

/** The message is one line for the user: what came, what was wanted, what to do. */
export class EdgespeechError extends Error {
  /**
   * `UsageError`: a setting or a call; `AudioError`: samples or rate; `BundleError`: a file of the bundle;
   * `LanguageModelError`: `lm.bin`; `DecodingError`: the model's output; `FetchError`: a file that did not arrive.
   */
  readonly name: "UsageError" | "AudioError" | "BundleError" | "LanguageModelError" | "DecodingError" | "FetchError";
}
