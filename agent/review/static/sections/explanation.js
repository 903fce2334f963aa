/** What an explanation says, by weight of evidence: its concepts, the tokens that it lists, and how well each part of
 * it predicts next to what needs no concept. */

import { h, t } from "../dom.js";
import { known, number, plural, value3 } from "../format.js";
import { section } from "../parts.js";
import { floorKey, scorePlot } from "../plots.js";

const EXAMPLES = 8; // listed tokens that are shown at once
const SOURCES = [["simulation", "whole formula"], ["meaning", "named concepts alone"], ["headline", "headline alone"]];
const FLOORS = ["list", "rotated", "token_lookup"];

export function explanation({ formula, scores, row }) {
  if (!formula || !(formula.terms.length || formula.listed.length)) return null;
  const named = formula.terms.filter((term) => term.named);
  const exact = formula.terms.filter((term) => !term.named);
  const most = Math.max(...formula.terms.map((term) => Math.abs(term.steps)), 1);
  const sources = sourcesOf(scores, row);
  return section("explanation", "Explanation", "The concept with the most evidence first. The bar is how much it adds or takes away.",
    h("div", { class: "two says" },
      h("div", {},
        named.length ? h("ol", { class: "weights terms" }, named.map((term) => item(term, most))) : h("p", { class: "note" }, "It names no concept that would also decide new words."),
        residue(exact, formula.listed, named.length)),
      sources.length ? h("figure", {}, scorePlot(sources), h("figcaption", {}, "Held-out r. ", floorKey(sources))) : null),
    h("details", { class: "about" }, h("summary", {}, "As a formula that runs"), h("p", { class: "predicate" }, h("code", {}, t(row.predicate))), legend(formula)));
}

function item(term, most) {
  return h("li", { class: term.corrects ? "corrects" : "" }, bar(term.steps, most),
    h("span", {}, term.corrects ? "but less on " : null, h(term.in_headline ? "b" : "span", {}, t(term.concept)), term.in_headline ? null : h("span", { class: "unseen" }, " (not in the headline)")),
    h("span", { class: "num", title: term.degree }, sign(term.steps)));
}

const bar = (steps, most) => h("span", { class: `meter ${steps < 0 ? "neg" : ""}`, style: { "--share": String(Math.abs(steps) / most) } });

/** The tokens that no concept covers, as examples. */
function residue(exact, listed, hasNamed) {
  if (!exact.length && !listed.length) return null;
  const lists = exact.map((term) => h("li", {}, t(term.concept), h("span", { class: "soft" }, ` ${sign(term.steps)}`)));
  const shown = listed.map((one) => h("li", {}, h("code", {}, t(one.token)), h("span", { class: "soft" }, ` ${sign(one.steps)}`)));
  const rest = shown.splice(EXAMPLES);
  const more = rest.length ? h("details", {}, h("summary", {}, `${plural(rest.length, "more token")}`), h("ul", { class: "listed" }, rest)) : null;
  return h("div", { class: "residue" }, h("h3", {}, hasNamed ? "And some tokens by name" : "Some tokens by name"), h("ul", { class: "listed" }, lists, shown), more);
}

const sign = (steps) => `${steps > 0 ? "+" : "−"}${Math.abs(steps)}`;

/** What the degrees in the formula mean: how many steps each is, and what a step is worth. */
function legend({ degrees, step, rest }) {
  const words = Object.entries(degrees).map(([word, steps], i) => [i ? ", " : "", h("i", {}, word), ` ${steps}`]);
  return h("p", { class: "note" }, "Degrees are numbers of steps: ", words, `. One step is ${value3(step)} of activation; where nothing holds it is ${value3(rest)}.`);
}

/** The held-out r of the whole and of its parts; empty where only that of the whole is recorded. */
function sourcesOf(scores, row) {
  const held = (scores ?? []).filter((score) => score.split === "holdout" && score.text === "random");
  const whole = held.find((score) => score.scorer === "simulation");
  const rows = SOURCES.flatMap(([scorer, name]) => {
    const score = held.find((one) => one.scorer === scorer);
    if (!score) return [];
    const floors = Object.fromEntries(FLOORS.map((floor) => [floor, score.floors?.[floor] ?? whole?.floors?.[floor]]).filter(([, value]) => known(value)));
    return [{ ...score, name: `${name} ${number(score.value)}`, floors, verdict: scorer === "simulation" ? row.verdict : "" }];
  });
  return rows.length > 1 ? rows : [];
}
