// Following the server's events over fetch, because EventSource cannot send a key.

import { parse } from "./api.js";

const SILENCE_MS = 40_000; // the server writes at least a comment every 15 s
const LONGEST_WAIT_MS = 15_000;

/** Cuts a text stream into events; what is not complete waits for the next chunk. */
export class EventReader {
  #rest = "";

  read(chunk) {
    const blocks = (this.#rest + chunk).split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map((block) => {
      const event = { event: "message", id: null, data: [] };
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon <= 0) continue; // a comment, or nothing
        const value = line.slice(colon + 1).replace(/^ /, "");
        const name = line.slice(0, colon);
        if (name === "data") event.data.push(value);
        else if (name === "event" || name === "id") event[name] = value;
      }
      return { ...event, data: event.data.join("\n") };
    }).filter((event) => event.data !== "");
  }
}

export class Stream {
  #api;
  #onUsage;
  #onState;
  #lastId = null;
  #failures = 0;
  #timer = null;
  #abort = null;

  /** onState gets "connecting", "live", "reconnecting" (with the wait in ms) or "key" (with the one refused). */
  constructor({ api, onUsage, onState }) {
    this.#api = api;
    this.#onUsage = onUsage;
    this.#onState = onState;
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", (event) => event.persisted && this.start());
  }

  start() {
    this.stop();
    this.#failures = 0;
    this.#onState("connecting");
    void this.#connect();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = null;
  }

  #hurry() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    void this.#connect();
  }

  async #connect() {
    const abort = new AbortController();
    this.#abort = abort;
    this.#timer = null;
    let wait = null;
    try {
      wait = await this.#follow(abort);
    } catch {
      // A network error or our own abort: both mean "try again", unless stop() came first.
    }
    if (this.#abort !== abort || wait === "key") return;
    this.#failures += 1;
    const backOff = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(this.#failures, 6));
    const pause = Math.max(wait ?? 0, backOff * (0.75 + Math.random() / 2));
    this.#onState("reconnecting", pause);
    this.#timer = setTimeout(() => void this.#connect(), pause);
  }

  /** Reads until the stream ends; the answer is how long the server wants us to wait, if it says so. */
  async #follow(abort) {
    const key = this.#api.key;
    const headers = { ...this.#api.headers(), Accept: "text/event-stream" };
    if (this.#lastId !== null) headers["Last-Event-ID"] = this.#lastId;
    const watchdog = { timer: null };
    const alive = () => {
      clearTimeout(watchdog.timer);
      watchdog.timer = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    alive();
    try {
      const reply = await fetch("api/v1/usage/stream", { headers, cache: "no-store", redirect: "error", signal: abort.signal });
      if (reply.status === 401 || reply.status === 403) {
        this.#onState("key", key);
        return "key";
      }
      if (!reply.ok || reply.body === null) return 1000 * Number(reply.headers.get("Retry-After") ?? 0);
      this.#failures = 0;
      this.#onState("live");
      const events = new EventReader();
      const text = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await text.read();
        if (done) return null;
        alive();
        for (const event of events.read(value)) {
          if (event.id !== null) this.#lastId = event.id;
          if (event.event === "usage") this.#onUsage(parse(event.data));
        }
      }
    } finally {
      clearTimeout(watchdog.timer);
    }
  }
}
