// The tables: services, who used what, runs.

import { bar, byId, el, svg } from "./dom.js";
import { ago, count, momentOf, percent } from "./format.js";
import { Table } from "./table.js";

const STATES = {
  live: ["live", "live"],
  silent: ["silent", "silent"],
  ended: ["", "ended"],
  never: ["", "not seen yet"],
};
const RUN_STATES = { open: ["live", "running"], error: ["bad", "error"], timeout: ["silent", "timed out"], interrupted: ["silent", "interrupted"], abandoned: ["silent", "abandoned"], cancelled: ["silent", "cancelled"], success: ["", "done"] };

const dot = () => el("span", { class: "dot", "aria-hidden": "true" });
const cells = (row) => row.totals ?? row;
const number = (title, pick, more = {}) => ({ title, number: true, text: (row) => count(pick(cells(row))), ...more });

/** Where a call came from: earlier steps quiet, the last one strong. */
function drawCaller(cell, path) {
  if (path === "unattributed" || path === "other") {
    cell.replaceChildren(el("span", { class: "odd" }, path));
    return;
  }
  const steps = path.split("/");
  const nodes = steps.flatMap((step, index) => {
    const last = index === steps.length - 1;
    const name = el("span", { class: last ? "last" : "step" }, step);
    return last ? [name] : [name, el("span", { class: "sep" }, "/"), el("wbr")];
  });
  cell.replaceChildren(el("span", { class: "path" }, ...nodes));
}

function share(whole) {
  return {
    title: "Share",
    className: "share number",
    stamp: (row) => `${cells(row).tokens.total}/${whole()}`,
    draw: (cell, row) => {
      const line = svg("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
      bar(line, [{ className: null, value: cells(row).tokens.total }], whole());
      cell.replaceChildren(el("div", {}, line, el("span", { class: "figure" }, percent(cells(row).tokens.total, whole()))));
    },
  };
}

export class Services {
  #whole = 0;
  #now = 0;
  #table;

  constructor({ onPick }) {
    this.#table = new Table({
      caption: "Services",
      key: (row) => row.agentName,
      columns: [
        { title: "Service", stamp: (row) => `${row.agentName}${this.#stateOf(row)}`, draw: (cell, row) => this.#drawName(cell, row, onPick) },
        { title: "State", wide: true, stamp: (row) => `${row.lastSeen}${this.#stateOf(row)}`, draw: (cell, row) => cell.replaceChildren(this.#state(row)) },
        number("Tokens", (row) => row.tokens.total, { className: "strong" }),
        share(() => this.#whole),
        number("Input", (row) => row.tokens.input, { wide: true }),
        number("Output", (row) => row.tokens.output, { wide: true }),
        number("Calls", (row) => row.calls.finished),
        number("Unknown", (row) => row.calls.unknownUsage, { wide: true }),
        { title: "Processes", number: true, wide: true, text: (row) => count(row.incarnations) },
      ],
    });
    byId("services").append(this.#table.node);
  }

  show(agents, totals, now) {
    this.#whole = totals.tokens.total;
    this.#now = now;
    this.#table.update(agents);
  }

  #stateOf(row) {
    const [, word] = STATES[row.state] ?? ["", row.state];
    return row.state === "live" || row.lastSeen === null ? word : `${word}, ${ago(Date.parse(row.lastSeen), this.#now)}`;
  }

  #state(row) {
    const title = row.lastSeen === null ? null : `last beat ${momentOf(Date.parse(row.lastSeen))}`;
    return el("span", { class: `state ${STATES[row.state]?.[0] ?? ""}`, title }, dot(), this.#stateOf(row));
  }

  #drawName(cell, row, onPick) {
    const button = cell.querySelector("button") ?? el("button", { class: "link", type: "button", title: "Show who used what in this service", onclick: () => onPick(row.agentName) }, row.agentName);
    const focused = document.activeElement === button;
    cell.replaceChildren(button, el("span", { class: "narrow under" }, this.#state(row)));
    if (focused) button.focus({ preventScroll: true });
  }
}

const DIMENSIONS = {
  service: { title: "Service", stamp: (row) => row.service, draw: (cell, row) => cell.replaceChildren(row.service) },
  caller: { title: "Caller", stamp: (row) => row.caller, draw: (cell, row) => drawCaller(cell, row.caller) },
  model: { title: "Model", stamp: (row) => row.model, draw: (cell, row) => cell.replaceChildren(row.model === "unknown" ? el("span", { class: "odd" }, row.model) : row.model) },
  agent: { title: "Agent", stamp: (row) => String(row.agent), draw: (cell, row) => cell.replaceChildren(row.agent ?? el("span", { class: "odd" }, "none named")) },
};

export class Split {
  #by = null;
  #whole = 0;
  #table = null;
  #more = el("p", { class: "more under", hidden: true });

  constructor({ onMore }) {
    this.onMore = onMore;
  }

  show(report) {
    if (this.#by !== report.by.join()) this.#build(report.by);
    this.#whole = report.totals.tokens.total;
    this.#table.update(report.rows, { ...report.totals, isTotal: true });
    const hidden = report.rowCount - report.rows.length;
    this.#more.hidden = hidden <= 0;
    if (hidden > 0) this.#more.replaceChildren(`${count(hidden)} more rows with ${count(report.rest.tokens.total)} tokens `, el("button", { class: "quiet", type: "button", onclick: this.onMore }, "Show more"));
  }

  #build(by) {
    this.#by = by.join();
    const [first, ...others] = by.map((name) => DIMENSIONS[name]);
    const orTotal = (column, word) => ({ ...column, stamp: (row) => (row.isTotal ? word : column.stamp(row)), draw: (cell, row) => (row.isTotal ? cell.replaceChildren(word) : column.draw(cell, row)) });
    const stacked = {
      ...first,
      stamp: (row) => by.map((name) => String(row[name])).join("\n"),
      draw: (cell, row) => {
        first.draw(cell, row);
        for (const column of others) {
          const under = el("span", { class: "narrow under" });
          column.draw(under, row);
          cell.append(under);
        }
      },
    };
    this.#table = new Table({
      caption: "Who used what",
      key: (row) => by.map((name) => String(row[name])).join("\n"),
      columns: [
        orTotal(stacked, "Total"),
        ...others.map((column) => orTotal({ ...column, wide: true }, "")),
        number("Tokens", (row) => row.tokens.total, { className: "strong" }),
        share(() => this.#whole),
        number("Input", (row) => row.tokens.input, { wide: true }),
        number("from cache", (row) => row.tokens.cacheRead, { wide: true }),
        number("Output", (row) => row.tokens.output, { wide: true }),
        number("reasoning", (row) => row.tokens.reasoning, { wide: true }),
        number("Calls", (row) => row.calls.finished, { wide: true }),
        number("Unknown", (row) => row.calls.unknownUsage, { wide: true }),
      ],
    });
    byId("split").replaceChildren(this.#table.node, this.#more);
  }
}

export class Runs {
  #now = 0;
  #table = new Table({
    caption: "Recent runs",
    key: (row) => row.run,
    columns: [
      { title: "Run", stamp: (row) => `${row.run}${row.status}${row.late}`, draw: (cell, row) => cell.replaceChildren(el("span", { class: "mono" }, row.run), el("span", { class: "narrow under" }, this.#status(row))) },
      { title: "Service", wide: true, text: (row) => row.services.join(", ") },
      { title: "Status", wide: true, stamp: (row) => `${row.status}${row.late}`, draw: (cell, row) => cell.replaceChildren(this.#status(row)) },
      { title: "Started", wide: true, stamp: (row) => ago(Date.parse(row.startedAt), this.#now), draw: (cell, row) => cell.replaceChildren(el("time", { datetime: row.startedAt, title: momentOf(Date.parse(row.startedAt)) }, ago(Date.parse(row.startedAt), this.#now))) },
      number("Tokens", (row) => row.tokens.total, { className: "strong" }),
      number("Input", (row) => row.tokens.input, { wide: true }),
      number("Output", (row) => row.tokens.output, { wide: true }),
      number("Calls", (row) => row.calls.finished),
    ],
  });

  constructor() {
    byId("runs").append(this.#table.node);
  }

  show(runs, now) {
    this.#now = now;
    byId("runs-card").hidden = runs.length === 0;
    this.#table.update(runs);
  }

  #status(row) {
    const [className, word] = RUN_STATES[row.status] ?? ["", row.status];
    return el("span", { class: `state ${className}` }, dot(), row.late ? `${word}, late usage` : word);
  }
}
