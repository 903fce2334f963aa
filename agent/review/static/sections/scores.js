/** Scores with intervals next to their floors, and the distribution of the activations. */

import { h, t } from "../dom.js";
import { interval, number } from "../format.js";
import { empty, grid, section } from "../parts.js";
import { FLOORS, floorKey, floorName, histogramPlot, scorePlot } from "../plots.js";

export function scores({ scores: listed, row }) {
  if (!listed?.length) return section("scores", "Scores", null, empty("No score yet."));
  const named = listed.map((score) => ({ ...score, name: nameOf(score), verdict: score.scorer === "simulation" && score.split === "holdout" && score.text === "random" ? row.verdict : "" }));
  named.sort((a, b) => (b.split === "holdout") - (a.split === "holdout"));
  const columns = [["scorer", ""], ["split", ""], ["text", ""], ["value", "num"], ["95 %", "num"], ...FLOORS.map((name) => [floorName(name), "num"])];
  const rows = named.map((score) => [score.scorer, t(score.split), score.text?.replaceAll("_", " "), number(score.value), interval(score.low, score.high), ...FLOORS.map((name) => number(score.floors?.[name]))]);
  return section("scores", "Scores", "Dot and 95 % interval, bootstrap over documents.",
    h("figure", {}, scorePlot(named), h("figcaption", {}, floorKey(named))),
    h("details", {}, h("summary", {}, "As a table"), grid("Scores and floors", columns, rows)));
}

/** The short name of a row: "compositional, holdout, top". */
function nameOf({ scorer, split, text }) {
  return `${scorer.replace(/^simulation\./, "")}, ${split}${text === "top_and_random" ? ", top" : ""}`;
}

export function distribution({ histogram }) {
  if (!histogram?.counts?.length) return section("histogram", "Activations", null, empty("No histogram is stored."));
  const n = histogram.counts.reduce((sum, one) => sum + one, 0);
  return section("histogram", "Activations", `Every scored token of explore, n = ${n.toLocaleString("en-US")}; bands are where the exemplars are from.`, h("figure", {}, histogramPlot(histogram)));
}
