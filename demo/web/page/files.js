// Downloads the files of the site once: each is kept in the browser under its hash, and checked before it is used.

const SITE = new URL("..", import.meta.url);
const CACHE = `edgespeech files ${SITE.pathname}`;

/** Return `site.json`: the size and hash of every file. */
export async function readContents() {
  const response = await fetch(new URL("site.json", SITE));
  if (!response.ok) throw new Error(`site.json is missing (${response.status}); the site must be uploaded again`);
  return response.json();
}

/**
 * Load files.
 *
 * @param {Record<string, {bytes: number, sha256: string}>} entries The files by their paths in the site.
 * @param {(loaded: number, total: number) => void} report Called with the bytes so far, before compression, and all.
 * @returns {Promise<Record<string, ArrayBuffer>>} The files by their paths.
 */
export async function loadFiles(entries, report) {
  const cache = await globalThis.caches?.open(CACHE).catch(() => null); // none without https
  const total = Object.values(entries).reduce((sum, { bytes }) => sum + bytes, 0);
  let loaded = 0;
  const count = (bytes) => {
    loaded += bytes;
    report(loaded, total);
  };
  const load = async ([path, entry]) => [path, await loadFile(cache, path, entry, count)];
  return Object.fromEntries(await Promise.all(Object.entries(entries).map(load)));
}

/** Remove files of earlier releases. */
export async function forgetOthers(entries) {
  const cache = await globalThis.caches?.open(CACHE).catch(() => null);
  const wanted = new Set(Object.entries(entries).map(([path, { sha256 }]) => address(path, sha256)));
  for (const request of await cache?.keys() ?? []) if (!wanted.has(request.url)) await cache.delete(request);
}

const address = (path, sha256) => new URL(`${path}?sha256=${sha256}`, SITE).href;

async function loadFile(cache, path, { bytes, sha256 }, count) {
  const kept = await cache?.match(address(path, sha256));
  if (kept) {
    const data = await kept.arrayBuffer();
    if (data.byteLength === bytes && await isIntact(data, sha256)) {
      count(bytes);
      return data;
    }
  }
  const response = await fetch(new URL(path, SITE), { cache: cache ? "no-store" : "no-cache" });
  if (!response.ok) throw new Error(`${path} is missing (${response.status}); the site must be uploaded again`);
  const data = await readBody(response, path, bytes, count);
  if (!await isIntact(data, sha256)) throw damaged(path);
  // A full disk only means that the next visit downloads again.
  await cache?.put(address(path, sha256), new Response(data)).catch(() => {});
  return data;
}

/** Read a body into one buffer of the size that is known. */
async function readBody(response, path, bytes, count) {
  const data = new Uint8Array(bytes);
  let at = 0;
  const reader = response.body.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    if (at + piece.value.length > bytes) throw damaged(path);
    data.set(piece.value, at);
    at += piece.value.length;
    count(piece.value.length);
  }
  if (at !== bytes) throw damaged(path);
  return data.buffer;
}

async function isIntact(data, sha256) {
  if (!globalThis.crypto?.subtle) return true; // without https; the size was compared
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}

const damaged = (path) => new Error(
  `${path} arrived damaged: its size or SHA-256 is not the one in site.json; reload the page, and if that does not help, upload the site again`,
);
