// Wires the page: an event of the stream says that something changed, then the page reads what it shows.

import { Api, KeyNeeded } from "./api.js";
import { Runs, Services, Split } from "./breakdown.js";
import { BUCKET_MS, Chart } from "./chart.js";
import { byId, el, say } from "./dom.js";
import { ago, secondOf } from "./format.js";
import { Overview } from "./overview.js";
import { Stream } from "./stream.js";
import { welcome } from "./welcome.js";

const HOUR = BUCKET_MS.hour;
const RANGES = {
  hour: { title: "last hour", length: HOUR, bucket: "minute" },
  day: { title: "last 24 hours", length: 24 * HOUR, bucket: "hour" },
  week: { title: "last 7 days", length: 168 * HOUR, bucket: "hour" },
  month: { title: "last 30 days", length: 720 * HOUR, bucket: "day" },
  all: { title: "all time", length: null },
};
const GAP_MS = 400; // at least this long between two readings, and twice as long as the last one took
const EVERY_MS = 20_000; // ages and the end of time move without events
const AGAIN_MS = 3_000; // after a reading failed
const ROWS = 50;

const asked = new URLSearchParams(location.search);
const view = {
  range: asked.get("range") in RANGES ? asked.get("range") : "all",
  by: asked.get("by") ?? "caller,model",
  service: asked.get("service") ?? "",
  rows: ROWS,
};
const api = new Api();
const overview = new Overview();
const chart = new Chart();
const services = new Services({ onPick: (name) => { choose({ service: name }); byId("split-card").scrollIntoView({ block: "start" }); byId("service").focus({ preventScroll: true }); } });
const split = new Split({ onMore: () => choose({ rows: view.rows * 4 }) });
const runs = new Runs();
const shown = { at: null, offset: 0, state: "connecting", until: 0 };

const now = () => Date.now() + shown.offset;

/** The chart of "all time" starts with the first incarnation, in the finest bucket that stays readable. */
function chartSpan(since) {
  const { length, bucket } = RANGES[view.range];
  if (length !== null) return { from: now() - length, bucket };
  const age = since === null ? 0 : now() - Date.parse(since);
  if (age < 3 * HOUR) return { from: now() - Math.max(age + 3 * BUCKET_MS.minute, 20 * BUCKET_MS.minute), bucket: "minute" };
  if (age < 168 * HOUR) return { from: now() - Math.max(age, 11 * HOUR) - HOUR, bucket: "hour" };
  return { from: now() - Math.min(age + 24 * HOUR, 180 * 24 * HOUR), bucket: "day" };
}

async function read() {
  const span = view.range === "all" ? {} : { from: new Date(now() - RANGES[view.range].length).toISOString() };
  const [fleet, agents, recent] = await Promise.all([
    api.get("usage", { by: "service", limit: 1, ...span }),
    api.get("agents", span),
    api.get("runs", { service: view.service, limit: 12 }),
  ]);
  shown.offset = Date.parse(fleet.at) - Date.now();
  if (view.service !== "" && !agents.some((agent) => agent.agentName === view.service)) view.service = "";
  const path = view.service === "" ? "usage" : `agents/${encodeURIComponent(view.service)}/usage`;
  const { from, bucket } = chartSpan(fleet.since);
  const [detail, series] = await Promise.all([
    api.get(path, { by: view.by, limit: view.rows, ...span }),
    api.get("usage/series", { by: "model", bucket, from: new Date(from).toISOString() }),
  ]);
  return { fleet, agents, recent, detail, series, from, bucket };
}

function render({ fleet, agents, recent, detail, series, from, bucket }) {
  byId("gate").hidden = true;
  byId("trouble").hidden = true;
  byId("forget").hidden = api.key === null;
  byId("as-json").hidden = api.key !== null; // a link carries no key
  const empty = agents.every((agent) => agent.state === "never");
  if (empty && byId("welcome").hidden) welcome();
  byId("welcome").hidden = !empty;
  byId("fleet").hidden = empty;
  byId("range").hidden = empty;
  shown.at = Date.parse(fleet.at);
  document.documentElement.dataset.revision = String(fleet.revision);
  if (empty) return;
  overview.show(fleet, agents, RANGES[view.range].title);
  services.show(agents, fleet.totals, now());
  listServices(agents);
  split.show(detail);
  chart.show({ points: series.points, bucket, from, now: now() });
  runs.show(recent.runs, now());
}

function listServices(agents) {
  const select = byId("service");
  const names = agents.map((agent) => agent.agentName).sort();
  if (select.dataset.names !== names.join("\n")) {
    select.dataset.names = names.join("\n");
    select.replaceChildren(el("option", { value: "" }, "All services"), ...names.map((name) => el("option", { value: name }, name)));
  }
  select.value = view.service;
}

const reading = { running: false, again: false, later: null };

/** Reads and shows; calls that come meanwhile become one more reading. */
async function refresh() {
  if (reading.running) {
    reading.again = true;
    return;
  }
  reading.running = true;
  try {
    do {
      reading.again = false;
      const began = performance.now();
      try {
        render(await read());
      } catch (error) {
        if (error instanceof KeyNeeded) askForKey(error.key);
        else complain(error);
      }
      const took = performance.now() - began;
      if (reading.again) await new Promise((done) => setTimeout(done, Math.max(GAP_MS, 2 * took)));
    } while (reading.again);
  } finally {
    reading.running = false;
  }
  tick();
}

/** Says that a reading failed, unless the state at the top says it already; tries again by itself. */
function complain(error) {
  byId("trouble").hidden = shown.at !== null && shown.state === "reconnecting";
  const known = shown.at === null ? "" : ` What stands here is as of ${secondOf(shown.at)}.`;
  say(byId("trouble"), `The numbers cannot be read now: ${error.message}. Trying again.${known}`);
  clearTimeout(reading.later);
  reading.later = setTimeout(() => void refresh(), AGAIN_MS);
}

/** refused: the key that a reading was asked with; an answer to an older key says nothing. */
function askForKey(refused) {
  if (refused !== api.key) return;
  stream.stop();
  if (refused !== null) byId("gate-refused").hidden = false;
  api.forget();
  byId("gate").hidden = false;
  for (const id of ["fleet", "welcome", "range", "forget", "trouble", "as-json"]) byId(id).hidden = true;
  setPulse("key");
  byId("gate-key").focus();
}

function choose(change) {
  Object.assign(view, change);
  const query = new URLSearchParams();
  if (view.range !== "all") query.set("range", view.range);
  if (view.by !== "caller,model") query.set("by", view.by);
  if (view.service !== "") query.set("service", view.service);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  void refresh();
}

function setPulse(state, wait = 0) {
  shown.state = state;
  shown.until = Date.now() + wait;
  byId("pulse").dataset.state = state;
  tick();
}

/** What changes with time alone. */
function tick() {
  const left = Math.max(0, Math.ceil((shown.until - Date.now()) / 1000));
  say(byId("pulse-text"), { connecting: "Connecting", live: "Live", key: "Locked", reconnecting: left > 0 ? `Reconnecting in ${left} s` : "Reconnecting" }[shown.state]);
  if (shown.at !== null) say(byId("as-of"), `As of ${secondOf(shown.at)}, ${ago(shown.at, now())}`);
}

const stream = new Stream({
  api,
  onUsage: () => {
    const pulse = byId("pulse");
    pulse.dataset.beat = pulse.dataset.beat === "a" ? "b" : "a";
    void refresh();
  },
  onState: (state, more) => {
    if (state === "key") {
      askForKey(more);
      return;
    }
    const back = state === "live" && shown.state === "reconnecting";
    setPulse(state, more);
    if (back) void refresh();
  },
});

for (const name of ["range", "by"]) {
  for (const input of byId(name).querySelectorAll("input")) {
    input.checked = input.value === view[name];
    input.addEventListener("change", () => choose({ [name]: input.value, rows: ROWS }));
  }
}
byId("service").addEventListener("change", (event) => choose({ service: event.target.value, rows: ROWS }));
byId("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keep(byId("gate-key").value.trim());
  byId("gate-key").value = "";
  byId("gate-refused").hidden = true;
  begin();
});
byId("forget").addEventListener("click", () => { api.forget(); location.reload(); });

function begin() {
  stream.start();
  void refresh();
}

setInterval(tick, 1000);
setInterval(() => document.hidden || byId("fleet").hidden || void refresh(), EVERY_MS);
if ("locked" in document.documentElement.dataset && api.key === null) askForKey(null);
else begin();
