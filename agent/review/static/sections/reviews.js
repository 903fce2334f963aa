/** Reviews: buttons for a decision, and the reviews so far. */

import { REPORT } from "../api.js";
import { h, t } from "../dom.js";
import { interval, number, time } from "../format.js";
import { askEdit, askNote, giveReview } from "../reviewing.js";
import { localStore } from "../keys.js";

const BUTTONS = [
  ["approve", "Approve", "a", null], ["reject", "Reject", "r", null], ["edit", "Edit", "e", askEdit], ["note", "Note", "n", askNote], ["undo", "Undo", "u", null],
];

/** @param again called after a verdict was written */
export function reviews(place, page, again) {
  const listed = page.reviews ?? [];
  if (REPORT && !listed.length) return null;
  const latest = listed.filter((one) => ["approve", "reject", "edit"].includes(one.verdict)).at(-1)?.verdict;
  const give = (name, form) => () => giveReview(place, page.row, form ?? { verdict: name }, again);
  const buttons = BUTTONS.map(([name, word, key, form]) =>
    h("button", { type: "button", class: `give ${name}`, "aria-pressed": name === "undo" || name === "note" ? null : String(latest === name), "aria-keyshortcuts": key, disabled: name === "undo" && !listed.length, on: { click: give(name, form) } }, word, h("kbd", { "aria-hidden": "true" }, key)));
  const who = localStore()?.getItem("hubel-name");
  return h("section", { class: "reviews", "aria-label": "Reviews" },
    REPORT ? null : h("div", { class: "line" }, h("span", { class: "soft" }, "Your verdict"), buttons, who ? h("small", { class: "soft" }, "as ", t(who)) : null, agreement(page.row, latest)),
    listed.length ? h("ol", { class: "said" }, listed.map(one)) : null);
}

function agreement(row, latest) {
  if (!latest || latest === "edit" || !["kept", "rejected"].includes(row.verdict)) return null;
  const agrees = (row.verdict === "kept") === (latest === "approve");
  return h("span", { class: agrees ? "for" : "against" }, agrees ? "agrees with the keep rule" : "differs from the keep rule");
}

const DID = { approve: "approved", reject: "rejected", edit: "edited", note: "noted", undo: "took a verdict back" };

function one(review) {
  return h("li", {}, h("b", {}, t(review.name)), ` ${DID[review.verdict] ?? review.verdict} `, h("small", {}, time(review.time)), review.after_viewing ? h("span", { class: "badge warn", title: "written after held-out text of this target was opened" }, "after viewing") : null,
    review.text ? h("p", { class: "sentence" }, t(review.text)) : null, review.predicate ? h("p", { class: "predicate" }, h("code", {}, t(review.predicate))) : null,
    review.score ? h("p", { class: "note" }, `its r on select ${measured(review.score)}`, elsewhere(review)) : null,
    review.note ? h("p", {}, t(review.note, { lines: true })) : null);
}

const measured = (score) => `${number(score.value)} [${interval(score.low, score.high)}]`;

/** An edit after viewing is scored on another corpus as well, by a process that takes a minute. */
function elsewhere(review) {
  if (!review.after_viewing) return null;
  if (!review.elsewhere) return "; it is being scored on another corpus, since held-out text was opened";
  const { corpus, score, error } = review.elsewhere;
  return score ? [", on ", t(corpus), ` ${measured(score)}`] : ["; not scored on ", t(corpus), ": ", t(error ?? "")];
}

/** Whether a score is still to come. */
export const isWaiting = (reviews) => (reviews ?? []).some((one) => one.after_viewing && one.score && !one.elsewhere);
