/** A table of any length: only the rows near the window are in the page, fetched by hundreds. Rows have one height, so
 * that nothing jumps; a screen reader gets the number of all rows and the place of each. */

import { h, swap } from "./dom.js";

const PAGE = 100;
const SPARE = 12;

/** @param options columns: [{key, name, cls, sort, title}], fetch(offset, limit) -> {total, rows}, cells(row, i) ->
 *    [node, ...], caption, onSort(key), sort: {key, dir}, onPlace(i) when the current row moves. */
export class LongTable {
  constructor(options) {
    this.options = options;
    this.pages = new Map();
    this.total = 0;
    this.at = -1;
    this.generation = 0;
    this.body = h("tbody");
    this.table = h("table", { class: `long ${options.cls ?? ""}` }, h("caption", { class: "unseen" }, options.caption), this.head(), this.body);
    this.node = h("div", { class: "long-box" }, this.table);
    this.draw = this.draw.bind(this);
    this.scrolled = () => requestAnimationFrame(this.draw);
    addEventListener("scroll", this.scrolled, { passive: true });
    addEventListener("resize", this.scrolled, { passive: true });
  }

  dispose() {
    removeEventListener("scroll", this.scrolled);
    removeEventListener("resize", this.scrolled);
  }

  head() {
    this.headRow = h("tr", { "aria-rowindex": "1" });
    return h("thead", {}, this.headRow);
  }

  headings(sort) {
    swap(this.headRow, this.options.columns.map((column) => this.heading(column, sort)));
  }

  heading(column, sort) {
    const sorted = sort.key === column.sort ? (sort.dir === "desc" ? "descending" : "ascending") : null;
    const name = column.sort ? h("button", { type: "button", class: "sort", title: column.title ?? null, on: { click: () => this.options.onSort(column.sort) } }, column.name) : column.name;
    return h("th", { scope: "col", class: column.cls ?? null, "aria-sort": sorted }, name);
  }

  /** Starts over with other rows (a sort, a filter, a log that grew). */
  async load(sort, keepPlace = false) {
    this.generation += 1;
    const ownGeneration = this.generation;
    const first = keepPlace ? Math.floor(Math.max(0, this.at) / PAGE) : 0;
    const answer = await this.options.fetch(first * PAGE, PAGE);
    if (ownGeneration !== this.generation) return null;
    this.pages = new Map([[first, answer.rows]]);
    this.total = answer.total;
    if (!keepPlace) this.at = -1;
    this.at = Math.min(this.at, this.total - 1);
    this.headings(sort);
    this.table.setAttribute("aria-rowcount", String(this.total + 1));
    this.drawn = "";
    this.draw();
    return answer;
  }

  get height() {
    return parseFloat(getComputedStyle(this.table).getPropertyValue("--row")) || 34;
  }

  row(i) {
    return this.pages.get(Math.floor(i / PAGE))?.[i % PAGE] ?? null;
  }

  draw() {
    if (!this.node.isConnected) return;
    const height = this.height;
    const above = Math.max(0, -this.body.getBoundingClientRect().top);
    const first = Math.max(0, Math.min(this.total, Math.floor(above / height) - SPARE));
    const last = Math.min(this.total, first + Math.ceil(innerHeight / height) + 2 * SPARE);
    this.need(first, last);
    const key = `${this.generation}:${first}:${last}:${this.at}:${height}:${this.have(first, last)}`;
    if (key === this.drawn) return;
    this.drawn = key;
    this.fill(first, last, height);
  }

  fill(first, last, height) {
    const focused = this.body.contains(document.activeElement);
    const rows = [this.gap(first * height)];
    for (let i = first; i < last; i += 1) rows.push(this.drawRow(i));
    rows.push(this.gap((this.total - last) * height));
    swap(this.body, rows);
    if (focused) this.focus();
  }

  drawRow(i) {
    const row = this.row(i);
    const cells = row ? this.options.cells(row, i) : this.options.columns.map((_, n) => (n ? "" : h("span", { class: "wait" }, "…")));
    const columns = this.options.columns;
    return h("tr", { "aria-rowindex": String(i + 2), "aria-current": i === this.at ? "true" : null, data: { i: String(i) } },
      cells.map((cell, n) => h(n ? "td" : "th", { class: columns[n].cls ?? null, scope: n ? null : "row" }, cell)));
  }

  gap(height) {
    return height > 0 ? h("tr", { class: "gap", "aria-hidden": "true" }, h("td", { colspan: String(this.options.columns.length), style: { height: `${height}px` } })) : null;
  }

  have(first, last) {
    let present = "";
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page += 1) present += this.pages.get(page) ? "y" : "n";
    return present;
  }

  need(first, last) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page += 1) {
      if (!this.pages.has(page) && page * PAGE < this.total) this.fetchPage(page);
    }
  }

  async fetchPage(page) {
    const ownGeneration = this.generation;
    this.pages.set(page, null);
    try {
      const answer = await this.options.fetch(page * PAGE, PAGE);
      if (ownGeneration === this.generation) this.pages.set(page, answer.rows);
    } catch {
      if (ownGeneration === this.generation) this.pages.delete(page); // fetched again at the next scroll
    }
    this.draw();
  }

  /** Moves the current row by so many, into view and with the focus. */
  move(by) {
    if (this.total) this.place(Math.max(0, Math.min(this.total - 1, this.at + by)));
  }

  place(i) {
    this.at = Math.max(0, Math.min(this.total - 1, i));
    const top = this.body.getBoundingClientRect().top + scrollY + this.at * this.height;
    const margin = this.height * 3;
    if (top < scrollY + margin) scrollTo(0, top - margin);
    else if (top + margin > scrollY + innerHeight) scrollTo(0, top + margin - innerHeight);
    this.draw();
    this.focus();
    this.options.onPlace?.(this.at);
  }

  focus() {
    this.body.querySelector(`tr[data-i="${this.at}"] a`)?.focus({ preventScroll: true });
  }
}
