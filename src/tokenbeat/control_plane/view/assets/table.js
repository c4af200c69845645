// A table that is updated in place: rows keep their identity, so focus and selection survive an update.

import { el, glow } from "./dom.js";

export class Table {
  #columns;
  #key;
  #rows = new Map();
  #body = el("tbody");
  #foot = el("tfoot");
  node;

  /**
   * columns: {title, number, wide, className, text(row) | draw(cell, row) with stamp(row)}; the first is the row's header.
   * key(row): what makes a row the same row after an update.
   */
  constructor({ caption, columns, key }) {
    this.#columns = columns;
    this.#key = key;
    const heads = columns.map((column) => el("th", { scope: "col", class: this.#classOf(column) }, column.title));
    this.node = el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, ...heads)), this.#body, this.#foot);
  }

  update(rows, total = null) {
    const before = this.#rows;
    this.#rows = new Map();
    rows.forEach((row, index) => {
      const key = this.#key(row);
      const known = before.get(key);
      const line = known ?? this.#line();
      this.#columns.forEach((column, at) => this.#fill(line.children[at], column, row, known !== undefined));
      this.#rows.set(key, line);
      if (this.#body.children[index] !== line) this.#body.insertBefore(line, this.#body.children[index] ?? null);
    });
    for (const [key, line] of before) if (!this.#rows.has(key)) line.remove();
    if (total === null) this.#foot.replaceChildren();
    else {
      const known = this.#foot.firstElementChild;
      const line = known ?? this.#foot.appendChild(this.#line());
      this.#columns.forEach((column, at) => this.#fill(line.children[at], column, total, known !== null));
    }
  }

  #classOf(column) {
    return [column.number && "number", column.wide && "wide", column.className].filter(Boolean).join(" ") || null;
  }

  #line() {
    return el("tr", {}, ...this.#columns.map((column, at) => el(at ? "td" : "th", { scope: at ? null : "row", class: this.#classOf(column) })));
  }

  #fill(cell, column, row, wasThere) {
    const stamp = column.stamp ? column.stamp(row) : column.text(row);
    if (cell.stamp === stamp) return;
    cell.stamp = stamp;
    if (column.draw) column.draw(cell, row);
    else cell.textContent = stamp;
    if (column.number) {
      cell.classList.toggle("zero", stamp === "0");
      if (wasThere) glow(cell);
    }
  }
}
