/** What scrutiny says of a circuit: completeness, minimality, stability, a rival, random circuits, calibration. */

import { h } from "../dom.js";
import { section } from "../parts.js";
import { shape } from "./effects.js";

const NAMES = ["faithfulness", "random", "completeness", "minimality", "stability", "rival", "roles", "panel", "interchange", "calibration"];

export function scoreFacts(circuit) {
  const present = NAMES.filter((name) => circuit[name] !== null && circuit[name] !== undefined);
  if (!present.length) return null;
  return section("scrutiny", "Scrutiny", null, present.map((name) => h("details", { open: name === "faithfulness" }, h("summary", {}, name), shape(circuit[name]))));
}
