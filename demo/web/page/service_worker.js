// Keeps the small files of the page, so that it opens without a network; the large ones are kept by page/files.js.

const RELEASE = "@release@"; // written when the site is built
const KEPT = `edgespeech page ${new URL(self.registration.scope).pathname} `;
const CACHE = KEPT + RELEASE;

const isSmall = (path) => !path.startsWith("bundle/") && !path.endsWith(".wasm");

async function install() {
  const contents = await (await fetch("site.json", { cache: "no-cache" })).json();
  if (contents.release !== RELEASE) throw new Error("the site is being replaced; the next visit tries again");
  const others = new Set(["index.html", "service_worker.js"]);
  const paths = ["./", "site.json", ...Object.keys(contents.files).filter((path) => isSmall(path) && !others.has(path))];
  const cache = await caches.open(CACHE);
  await cache.addAll(paths.map((path) => new Request(path, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith(KEPT) && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return await cache.match(request.mode === "navigate" ? "./" : request, { ignoreSearch: true }) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event.request));
});
