// A stream of the server: samples go out as 16-bit integers, the events of `edgespeech live --json` come in.

const MAX_WAITING = 1 << 20; // bytes that the browser has not sent yet

export class Stream {
  /** Connect; `report` is called with each event, and `end` once, with a sentence if something went wrong. */
  constructor(rate, token, report, end) {
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.search = token ? new URLSearchParams({ token }) : "";
    this.seconds = 0;
    this.rate = rate;
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    let trouble = "";
    let connected = false;
    this.opened = new Promise((resolve) => {
      this.socket.onopen = () => {
        connected = true;
        this.socket.send(JSON.stringify({ type: "start", format: `s16le:${rate}:1` }));
        resolve(true);
      };
      this.socket.onclose = ({ code, reason }) => {
        resolve(false);
        if (!connected) trouble = "The server cannot be reached, or refuses this page.";
        else if (code !== 1000 && !trouble) trouble = reason || "The connection to the server was lost.";
        end(trouble);
      };
    });
    this.socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "error") trouble = event.message;
      else report(event);
    };
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Send samples from -1 to 1. */
  send(samples) {
    if (!this.isOpen) return;
    this.seconds += samples.length / this.rate;
    const integers = new DataView(new ArrayBuffer(samples.length * 2));
    samples.forEach((sample, index) => {
      integers.setInt16(2 * index, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true);
    });
    this.socket.send(integers.buffer);
  }

  /** Wait until the connection takes more, which lets a slow network set the pace. */
  async room() {
    while (this.isOpen && this.socket.bufferedAmount > MAX_WAITING) {
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  /** Ask for the last results; the server then closes. */
  finish() {
    if (this.isOpen) this.socket.send(JSON.stringify({ type: "finish" }));
    else this.socket.close();
  }
}
