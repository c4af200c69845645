// Tokens over time, stacked by model: an SVG chart with a pointer, keys and a table that says the same.

import { byId, el, svg } from "./dom.js";
import { compact, count, dayOf, minuteOf } from "./format.js";
import { Table } from "./table.js";

export const BUCKET_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const SLOTS = 6;
const REST = "other models";
const SPACE = { top: 10, right: 4, bottom: 24, left: 46 };

/** The least round number at or above a value, whose half is round as well. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

export class Chart {
  #plot = byId("plot");
  #slots = new Map();
  #columns = [];
  #bucket = "minute";
  #now = 0;
  #chosen = null;
  #tip = el("div", { class: "tip", hidden: true });
  #told = el("p", { class: "unseen", "aria-live": "polite" });
  #table = null;

  constructor() {
    this.#plot.append(this.#tip, this.#told);
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
    const button = byId("chart-switch");
    button.addEventListener("click", () => {
      const tabled = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(tabled));
      byId("chart-table").hidden = !tabled;
      this.#plot.hidden = tabled;
      byId("legend").hidden = tabled;
    });
  }

  /** points: the series of the API; from and now in ms. */
  show({ points, bucket, from, now }) {
    if (bucket !== this.#bucket) this.#choose(null);
    this.#bucket = bucket;
    this.#now = now;
    const totals = new Map();
    for (const { model, tokens } of points) totals.set(model, (totals.get(model) ?? 0) + Number(tokens.total));
    this.#assign(totals);
    const size = BUCKET_MS[bucket];
    const last = (Math.floor(now / size) + 1) * size;
    const first = Math.floor(from / size) * size + size;
    const columns = new Map();
    for (let at = first; at <= last; at += size) columns.set(at, { at, total: 0, parts: [] });
    for (const { at, model, tokens } of points) {
      const column = columns.get(Date.parse(at));
      if (column === undefined) continue;
      column.total = BigInt(column.total) + BigInt(tokens.total);
      column.parts.push({ model, tokens: tokens.total, slot: this.#slots.get(model) ?? SLOTS });
    }
    this.#columns = [...columns.values()];
    for (const column of this.#columns) column.parts.sort((a, b) => a.slot - b.slot);
    byId("chart-title").textContent = `Tokens per ${bucket}`;
    this.#drawLegend(totals);
    this.#draw();
    this.#drawTable();
  }

  /** A model keeps its colour while the page is open, whoever leads the list. */
  #assign(totals) {
    const bySize = [...totals].sort((a, b) => b[1] - a[1]).map(([model]) => model);
    for (const model of bySize) if (!this.#slots.has(model) && this.#slots.size < SLOTS) this.#slots.set(model, this.#slots.size);
  }

  #drawLegend(totals) {
    const shown = [...this.#slots].filter(([model]) => totals.has(model)).map(([model, slot]) => [model, slot]);
    if ([...totals.keys()].some((model) => !this.#slots.has(model))) shown.push([REST, SLOTS]);
    byId("legend").replaceChildren(...shown.map(([model, slot]) => el("li", {}, el("span", { class: `swatch c${slot}` }), model)));
  }

  #when(column) {
    const start = column.at - BUCKET_MS[this.#bucket];
    return this.#bucket === "day" ? `${dayOf(start)} (UTC)` : `${minuteOf(start)} – ${minuteOf(column.at)}`;
  }

  #draw() {
    const width = this.#plot.clientWidth;
    if (width === 0 || this.#columns.length === 0) return;
    const height = matchMedia("(max-width: 640px)").matches ? 190 : 250;
    const inner = { width: width - SPACE.left - SPACE.right, height: height - SPACE.top - SPACE.bottom };
    const highest = Math.max(...this.#columns.map((column) => Number(column.total)));
    const top = highest > 0 ? roundUp(highest) : 1;
    const y = (value) => SPACE.top + inner.height * (1 - Number(value) / top);
    const step = inner.width / this.#columns.length;
    const gap = step > 14 ? 3 : step > 5 ? 1.5 : 0.4;
    const total = this.#columns.reduce((sum, column) => sum + BigInt(column.total), 0n);

    const drawing = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "group", "aria-roledescription": "chart",
      "aria-label": `Tokens per ${this.#bucket} by model, ${count(total)} in all. Left and right keys move through it.`,
      onpointermove: (event) => this.#point(event, step), onpointerleave: () => this.#choose(null),
      onkeydown: (event) => this.#key(event), onblur: () => this.#choose(null),
    });
    for (const share of highest > 0 ? [0, 0.5, 1] : [0]) {
      const level = y(top * share);
      drawing.append(
        svg("line", { class: "axis", x1: SPACE.left, x2: width - SPACE.right, y1: level, y2: level }),
        svg("text", { x: SPACE.left - 8, y: level + 4, "text-anchor": "end" }, compact(top * share)),
      );
    }
    const every = Math.ceil(this.#columns.length / Math.max(2, Math.floor(inner.width / 96)));
    this.#columns.forEach((column, index) => {
      const x = SPACE.left + index * step;
      const group = svg("g", { class: column.at > this.#now ? "unfinished" : null });
      let below = 0;
      for (const { tokens, slot } of column.parts) {
        const until = below + Number(tokens);
        const bottom = y(below);
        group.append(svg("rect", { class: `bar c${slot}`, x: x + gap / 2, width: Math.max(step - gap, 0.6), y: y(until), height: Math.max(bottom - y(until), 0) }));
        below = until;
      }
      drawing.append(group);
      const fromEnd = this.#columns.length - 1 - index;
      if (fromEnd % every === 0 && x - SPACE.left + step / 2 > 14) {
        const label = this.#bucket === "day" ? dayOf(column.at - BUCKET_MS.day) : minuteOf(column.at - BUCKET_MS[this.#bucket]);
        const anchor = fromEnd === 0 ? "end" : "middle";
        drawing.append(svg("text", { x: fromEnd === 0 ? x + step : x + step / 2, y: height - 6, "text-anchor": anchor }, label));
      }
    });
    if (highest === 0) drawing.append(svg("text", { class: "quiet-note", x: SPACE.left + inner.width / 2, y: SPACE.top + inner.height / 2, "text-anchor": "middle" }, "No tokens in this time"));
    drawing.append(svg("rect", { class: "cursor", y: SPACE.top, height: inner.height, width: step, x: -step, visibility: "hidden" }));
    const focused = document.activeElement !== null && this.#plot.querySelector("svg") === document.activeElement;
    this.#plot.querySelector("svg")?.remove();
    this.#plot.prepend(drawing);
    if (focused) drawing.focus({ preventScroll: true });
    if (this.#chosen !== null) this.#choose(this.#chosen);
  }

  #point(event, step) {
    const box = this.#plot.getBoundingClientRect();
    const index = Math.floor((event.clientX - box.left - SPACE.left) / step);
    this.#choose(this.#columns[index]?.at ?? null);
  }

  #key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.#choose(null);
    if (move === undefined) return;
    event.preventDefault();
    const now = this.#columns.findIndex((column) => column.at === this.#chosen);
    const next = now < 0 ? this.#columns.length - 1 : Math.min(Math.max(now + move, 0), this.#columns.length - 1);
    this.#choose(this.#columns[next].at);
    const column = this.#columns[next];
    this.#told.textContent = `${this.#when(column)}: ${count(column.total)} tokens. ${column.parts.map((part) => `${part.model} ${count(part.tokens)}`).join(", ")}`;
  }

  #choose(at) {
    this.#chosen = at;
    const index = this.#columns.findIndex((column) => column.at === at);
    const cursor = this.#plot.querySelector(".cursor");
    this.#tip.hidden = index < 0;
    cursor?.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index < 0 || cursor === null) return;
    const column = this.#columns[index];
    const step = Number(cursor.getAttribute("width"));
    const x = SPACE.left + index * step;
    cursor.setAttribute("x", String(x));
    this.#tip.replaceChildren(
      el("span", { class: "under" }, this.#when(column) + (column.at > this.#now ? ", so far" : "")),
      el("strong", {}, `${count(column.total)} tokens`),
      el("ul", {}, ...column.parts.map((part) =>
        el("li", {}, el("span", { class: `swatch c${part.slot}` }), el("span", { class: "name" }, part.model), el("span", {}, count(part.tokens))))),
    );
    const width = this.#tip.offsetWidth;
    const right = x + step + 10 + width > this.#plot.clientWidth;
    this.#tip.style.left = `${right ? Math.max(x - width - 10, 0) : x + step + 10}px`;
  }

  #drawTable() {
    this.#table ??= new Table({
      caption: "Tokens over time by model",
      key: (row) => `${row.at}\n${row.model}`,
      columns: [
        { title: "Time", text: (row) => row.when },
        { title: "Model", text: (row) => row.model },
        { title: "Tokens", number: true, text: (row) => count(row.tokens) },
      ],
    });
    if (!this.#table.node.isConnected) byId("chart-table").append(this.#table.node);
    const filled = this.#columns.filter((column) => column.parts.length > 0).reverse();
    this.#table.update(filled.flatMap((column) => column.parts.map((part) => ({ ...part, at: column.at, when: this.#when(column) }))));
  }
}
