/** What scrutiny says of a circuit: completeness, minimality, stability, a rival, random circuits, calibration. */

import { h } from "../dom.js";
import { count, interval, known, number } from "../format.js";
import { section } from "../parts.js";
import { shape } from "./effects.js";

const NAMES = ["faithfulness", "random", "completeness", "minimality", "stability", "rival", "roles", "panel", "interchange", "calibration"];

export function scoreFacts(circuit) {
  const present = NAMES.filter((name) => circuit[name] !== null && circuit[name] !== undefined);
  if (!present.length) return null;
  return section("scrutiny", "Scrutiny", null, present.map((name) => h("details", {}, h("summary", {}, name, h("span", { class: "soft" }, headline(circuit[name]))), shape(circuit[name]))));
}

/** The number that a measure comes to, where it is one: "0.84 [0.79 to 0.88], 48 prompts". */
function headline(measure) {
  if (!known(measure.value)) return known(measure.mean) ? ` ${number(measure.mean)}` : "";
  return ` ${number(measure.value)}${known(measure.low) ? ` [${interval(measure.low, measure.high)}]` : ""}${known(measure.prompts) ? `, ${count(measure.prompts)} prompts` : ""}`;
}
