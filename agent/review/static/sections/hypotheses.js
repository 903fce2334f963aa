/** The hypotheses with their lineage, and the experiments for and against each: the prediction as it
 * was logged, then the outcome. */

import { h, t } from "../dom.js";
import { number, plural, sideName, time, value3 } from "../format.js";
import { empty, gist, section } from "../parts.js";

export function hypotheses({ hypotheses: all }) {
  if (!all?.length) return section("hypotheses", "Hypotheses and experiments", null, empty("The log has none."));
  const experiments = all.flatMap((one) => one.experiments ?? []);
  const kept = experiments.filter((one) => one.outcome === "for").length;
  const note = `${plural(all.length, "hypothesis", "hypotheses")}, ${plural(experiments.length, "experiment")}: ${kept} for, ${experiments.filter((one) => one.outcome === "against").length} against. Each prediction was in the log before the subject ran.`;
  return section("hypotheses", "Hypotheses and experiments", note, h("ol", { class: "lineage" }, lineage(all).map(([one, depth]) => hypothesis(one, depth, all.length))));
}

/** Every hypothesis after the one that it revises, with its depth. */
function lineage(all) {
  const ids = new Set(all.map((one) => one.id));
  const below = (parent, depth) => all.filter((one) => (parent === null ? !ids.has(one.parent) : one.parent === parent)).flatMap((one) => [[one, Math.min(depth, 4)], ...(one.id === parent ? [] : below(one.id, depth + 1))]);
  return below(null, 0);
}

function hypothesis(one, depth, n) {
  const experiments = one.experiments ?? [];
  const tally = ["for", "against", "void"].map((name) => [name, experiments.filter((experiment) => experiment.outcome === name).length]).filter(([, number_]) => number_);
  const origin = [one.origin ? `from ${one.origin}` : null, one.parent ? `revises ${one.parent}` : null, one.competitor ? "competitor" : null].filter(Boolean).join(", ");
  return h("li", { class: `hypothesis depth-${depth}${one.chosen ? " chosen" : ""}`, id: `hypothesis-${one.id}`, tabindex: "-1" },
    h("div", { class: "line" }, h("b", { class: "id" }, t(one.id)), one.chosen ? h("span", { class: "badge" }, "chosen") : null, h("span", { class: "soft" }, t(origin)),
      h("span", { class: "num" }, `explore ${number(one.explore)}`), h("span", { class: "num" }, `select ${number(one.select)}`), tally.map(([name, count]) => h("span", { class: name }, `${count} ${name}`))),
    h("p", { class: "sentence" }, t(one.sentence)),
    gist(one.gist, one.sentence),
    one.predicate ? h("p", { class: "predicate" }, h("code", {}, t(one.predicate))) : null,
    experiments.length ? h("details", { open: one.chosen || n === 1 }, h("summary", {}, plural(experiments.length, "experiment")), table(one, experiments)) : null);
}

function table(one, experiments) {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Experiments of ${one.id}` },
    h("table", { class: "plain experiments" }, h("caption", { class: "unseen" }, `Experiments of ${one.id}`),
      h("thead", {}, h("tr", {}, ["id", "text", "prediction, written first", "outcome"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, experiments.map(experiment))));
}

function experiment(one) {
  return h("tr", { id: one.id, tabindex: "-1" },
    h("th", { scope: "row" }, t(one.id)),
    h("td", { class: "text" }, passage(one.text, one.span), one.other ? [h("br"), h("small", {}, "text B "), t(textOf(one.other))] : null),
    h("td", {}, prediction(one), one.reason ? h("small", { class: "reason" }, t(one.reason)) : null, one.predicted_at ? h("small", { class: "when" }, time(one.predicted_at)) : null),
    h("td", {}, h("b", { class: one.outcome ?? "void" }, one.outcome ?? "not run"), " ", h("span", { class: "num" }, outcome(one))));
}

const textOf = (passage_) => (typeof passage_ === "object" && passage_ !== null ? passage_.text : passage_);

/** A text with the span that the prediction is about, underlined. */
function passage(text, span) {
  if (!span) return t(text);
  const [start, end] = span;
  return [t(text.slice(0, start)), h("mark", {}, t(text.slice(start, end))), t(text.slice(end))];
}

function prediction(one) {
  const what = { max: "largest activation", mean: "mean activation", kl: "KL of ablating it", rank: "rank", logprob: "change of log-probability by steering", logit_difference: "change of logit difference by patching" }[one.quantity] ?? one.quantity;
  const side = one.side && ["max", "mean"].includes(one.quantity) ? `, ${sideName(one.side)}` : "";
  if (one.token) return `${one.relation} ${one.relation === "within" ? `${value3(one.bounds?.[0])} to ${value3(one.bounds?.[1])} ` : ""}(${what}: ${JSON.stringify(one.token)}${one.versus ? ` less ${JSON.stringify(one.versus)}` : ""}${one.strength ? `, strength ${value3(one.strength)}` : ""})`;
  if (one.relation === "greater") return `greater than on text B (${what}${side})`;
  if (one.relation === "within") return `within ${value3(one.bounds?.[0])} to ${value3(one.bounds?.[1])} (${what}${side})`;
  return `${one.relation} (${what}${side})`;
}

function outcome(one) {
  if (typeof one.observed !== "number") return "";
  const compared = Array.isArray(one.compared) ? `[${one.compared.map(value3).join(", ")}]` : typeof one.compared === "number" ? value3(one.compared) : "";
  return compared ? `${value3(one.observed)} against ${compared}` : value3(one.observed);
}
