// Reading the control plane's API, with a key where it asks for one.

const KEPT = "tokenbeat.key";

/** A reading was refused; `key` is what it was asked with, which may not be the present one. */
export class KeyNeeded extends Error {
  constructor(key) {
    super("a key is needed");
    this.key = key;
  }
}
export class Trouble extends Error {}

/** JSON whose integers stay exact: past 2^53 they become BigInt where the browser shows a number's source. */
export function parse(text) {
  return JSON.parse(text, (_name, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source)
      : value,
  );
}

export class Api {
  #key = sessionStorage.getItem(KEPT);

  get key() {
    return this.#key;
  }

  keep(key) {
    this.#key = key;
    sessionStorage.setItem(KEPT, key);
  }

  forget() {
    this.#key = null;
    sessionStorage.removeItem(KEPT);
  }

  headers() {
    return this.#key === null ? {} : { Authorization: `Bearer ${this.#key}` };
  }

  /** The body of a GET; parameters that are empty are left out. */
  async get(path, parameters = {}) {
    const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
    const url = query.size ? `api/v1/${path}?${query}` : `api/v1/${path}`;
    const key = this.#key;
    const reply = await fetch(url, { headers: this.headers(), cache: "no-store", redirect: "error" });
    if (reply.status === 401 || reply.status === 403) throw new KeyNeeded(key);
    if (!reply.ok) throw new Trouble(`${url.split("?")[0]} answered ${reply.status}`);
    return parse(await reply.text());
  }
}
