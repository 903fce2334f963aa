/** Pieces that several views are made of: verdicts, facts, notices, states of waiting and of failing. */

import { h, t } from "./dom.js";

const NAMES = { approve: "approved", reject: "rejected", edit: "edited", note: "note" };

/** What became of a target: a verdict; undecided, until no target of the run is pending; failed or pending. */
export function outcome(row) {
  if (row.status ? row.status !== "done" : !row.verdict) return row.status ?? "pending";
  return row.verdict && row.verdict !== "pending" ? row.verdict : "undecided";
}

/** What a result is before the run ends, in full. */
export const PROVISIONAL = "Results are provisional until the run ends: false discoveries are controlled over all its targets.";

/** An outcome as a person reads it. */
export const outcomeName = (name) => (name === "undecided" ? "provisional" : name);

/** That as a word with its shape. */
export function verdict(row) {
  const name = outcome(row);
  return h("span", { class: `verdict ${name}`, title: name === "undecided" ? PROVISIONAL : null }, outcomeName(name));
}

/** What each tier means, the best first: the same words as in agent/runlog/tiers.py. */
export const TIERS = {
  clear: "its headline alone predicts, and holds at the strongest tokens",
  composite: "better than 24 listed tokens, but its headline alone does not tell what it is about",
  list: "24 listed tokens with weights do as well",
  diffuse: "predicts too little, or no more than chance would",
};

/** A target's tier as a word; what it means is said on hover. */
export function tier(row) {
  return row.tier ? h("span", { class: `tier ${row.tier}`, title: TIERS[row.tier] ?? null }, t(row.tier)) : null;
}

/** The mark of an explanation that rests on how the text was cut, and not on the text. */
export const artefact = (row) => h("span", { class: "artefact", title: row.artefact }, "artefact");

/** What a row's held-out r is read against. */
export const floorsOf = (row) => ({ trivial: row.trivial, token_lookup: row.token_lookup, shuffled: row.shuffled, list: row.list, rotated: row.rotated });

/** A person's decision in short: "approved by Ada". */
export function review(decision) {
  if (!decision) return null;
  return h("span", { class: `review ${decision.verdict}`, title: NAMES[decision.verdict] }, NAMES[decision.verdict] ?? decision.verdict, h("span", { class: "by" }, " by ", t(decision.name)));
}

/** A list of names and values: [["seed", "0"], ...]. */
export function facts(pairs, cls = "") {
  return h("dl", { class: `facts ${cls}` }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A language model's gist of a hypothesis, where it says something else than the sentence does. */
export const gist = (text, sentence) => (text && text !== sentence ? h("p", { class: "note" }, h("b", {}, "In the model's words. "), t(text)) : null);

export function notice(text, kind = "notice") {
  return h("p", { class: `banner ${kind}`, role: kind === "error" ? "alert" : "note" }, typeof text === "string" ? t(text) : text);
}

export const notices = (list) => (list ?? []).map((text) => notice(text));

export const empty = (...what) => h("p", { class: "empty" }, what);

/** Shown in place of a part that could not be loaded. */
export function failed(error, again = null) {
  return h("div", { class: "banner error", role: "alert" }, t(error.message), again ? [" ", h("button", { type: "button", on: { click: again } }, "Try again")] : null);
}

/** Grey lines in the shape of what will come. */
export const waiting = (lines = 3) => h("div", { class: "waiting", "aria-hidden": "true" }, Array.from({ length: lines }, () => h("span")));

/** A part of a page with a heading. `note` says in one line what is seen. */
export function section(id, title, note, ...children) {
  return h("section", { id, class: "part", tabindex: "-1", "aria-labelledby": `${id}-title` },
    h("header", { class: "part-head" }, h("h2", { id: `${id}-title` }, title), note ? h("p", { class: "note" }, note) : null), children);
}

/** A table with headings: columns [[name, cls], ...], rows of cells. */
export function grid(caption, columns, rows, cls = "") {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: `plain ${cls}` }, h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind ?? null }, name)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: columns[i][1] ?? null }, cell)))))));
}

/** A labelled input. */
export function field(label, input, hint = "") {
  return h("label", { class: "field" }, h("span", {}, label, hint ? h("small", {}, ` ${hint}`) : null), input);
}

/** Where one is: [[text, address], ...], the last without a link. */
export function crumbs(steps) {
  return h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("ol", {}, steps.map(([text, to]) => h("li", {}, to ? h("a", { href: to }, t(text)) : h("span", { "aria-current": "page" }, t(text))))));
}
