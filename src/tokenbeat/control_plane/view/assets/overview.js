// The fleet's totals, and what they leave open.

import { bar, byId, el, glow, say } from "./dom.js";
import { count, percent, plural } from "./format.js";

const minus = (a, b) => {
  const rest = BigInt(a) - BigInt(b);
  return rest > 0n ? rest : 0n;
};

/** The kinds of tokens, wholes before their parts; a part is inside its whole and never added to it. */
function parts(tokens) {
  const rows = [
    { name: "Input", value: tokens.input, className: "c0" },
    { name: "read from cache", value: tokens.cacheRead, part: true },
    { name: "written to cache", value: tokens.cacheWrite, part: true },
    { name: "Output", value: tokens.output, className: "c1" },
    { name: "reasoning", value: tokens.reasoning, part: true },
    { name: "Unclassified", value: tokens.unclassified, className: "c6", optional: true },
  ];
  return rows.filter((row) => Number(row.value) > 0 || !(row.part || row.optional));
}

export class Overview {
  #lines = new Map();
  #facts = new Map();

  show(report, agents, rangeTitle) {
    const { tokens, calls } = report.totals;
    say(byId("hero-title"), `Tokens, ${rangeTitle}`);
    const total = byId("hero-total");
    if (say(total, count(tokens.total)) && total.value !== "0") glow(total);
    total.value = String(tokens.total);
    say(byId("hero-sub"), `${plural(calls.finished, "call")}, ${plural(agents.length, "service")}`);
    const kinds = parts(tokens);
    bar(byId("mix"), kinds.filter((row) => !row.part), tokens.total);
    byId("mix").setAttribute("aria-label", kinds.filter((row) => !row.part).map((row) => `${row.name} ${percent(row.value, tokens.total)}`).join(", "));
    this.#showParts(kinds);
    this.#showFacts(report, agents);
  }

  #showParts(kinds) {
    const names = kinds.map((row) => row.name).join();
    const list = byId("parts");
    if (list.dataset.names !== names) {
      list.dataset.names = names;
      this.#lines.clear();
      list.replaceChildren(...kinds.map((row) => {
        const value = el("dd");
        this.#lines.set(row.name, value);
        return el("div", { class: row.part ? "part" : null }, el("span", { class: `swatch ${row.className ?? ""}`, "aria-hidden": "true" }), el("dt", {}, row.part ? `of which ${row.name}` : row.name), value);
      }));
    }
    for (const row of kinds) say(this.#lines.get(row.name), count(row.value));
  }

  #showFacts(report, agents) {
    const { tokens, calls, failedAttempts } = report.totals;
    const silent = agents.filter((agent) => agent.state === "silent").length;
    const undelivered = agents.reduce((sum, agent) => sum + BigInt(agent.undeliveredTokens), 0n);
    const open = agents.reduce((sum, agent) => sum + BigInt(agent.open), 0n);
    const told = minus(calls.finished, calls.unknownUsage);
    const lost = report.unattributed;
    const cached = BigInt(tokens.cachedInput) + BigInt(tokens.cachedOutput) + BigInt(tokens.cachedUnclassified);
    this.#fact("Usage known", percent(told, calls.finished), Number(calls.unknownUsage) > 0,
      Number(calls.unknownUsage) > 0 ? `${plural(calls.unknownUsage, "call")} told no usage: not in the totals` : `of ${plural(calls.finished, "finished call")}`);
    this.#fact("Unattributed", percent(lost.tokens, tokens.total), Number(lost.calls) > 0,
      Number(lost.calls) > 0 ? `${count(lost.tokens)} tokens in ${plural(lost.calls, "call")} without a caller` : "every call has a caller");
    this.#fact("Still on the way", count(undelivered), undelivered > 0n, undelivered > 0n ? "tokens counted by agents, not delivered at their last beat" : "nothing was left undelivered");
    this.#fact("Partial", count(calls.partial), Number(calls.partial) > 0, "calls cut short: their usage is a lower bound");
    this.#fact("Failed attempts", count(failedAttempts), false, "requests without usage; no call, no tokens");
    this.#fact("Services silent", `${count(silent)} of ${count(agents.length)}`, silent > 0, silent > 0 ? "no beat for more than 3 intervals" : "all others beat in time or have ended");
    this.#fact("Calls under way", count(open), false, "counted when they end");
    if (Number(calls.cached) > 0) this.#fact("From a local cache", count(calls.cached), false, `calls that billed nothing: ${count(cached)} tokens, kept apart`);
  }

  #fact(label, value, raised, hint) {
    let fact = this.#facts.get(label);
    if (fact === undefined) {
      fact = { node: el("li"), value: el("span", { class: "value" }), hint: el("span", { class: "hint" }) };
      fact.node.append(fact.value, el("span", { class: "label" }, label), fact.hint);
      byId("facts").append(fact.node);
      this.#facts.set(label, fact);
    }
    fact.node.classList.toggle("raised", raised);
    say(fact.value, value);
    say(fact.hint, hint);
  }
}
