/** Exemplars of both sides as token heat maps: the strongest of explore; others are grouped by their split. */

import { h, t } from "../dom.js";
import { plural } from "../format.js";
import { heat, heatKey, scaleOf } from "../heat.js";
import { empty, section } from "../parts.js";

const FIRST = 8; // shown at once; the rest on demand
const SIDES = { "+": "Positive side", "-": "Negative side" };

export function exemplars({ exemplars: maps, sides = ["+", "-"], misses, row }) {
  const shown = sides.filter((side) => maps?.[side]?.length);
  const named = shown.some((side) => maps[side].some((map) => map.named?.length));
  const note = ["Orange fires positively, blue negatively. The grey first token of a context is never scored. ", named ? [h("i", { class: "named" }, "Underlined"), " tokens are those that the headline names."] : null];
  return section("exemplars", "Exemplars", note, shown.length ? shown.map((side) => panel(side, nameOf(side, row), maps[side], misses?.find((one) => one.side === side))) : empty("No exemplars are stored for this target."));
}

/** The side by name; of a one-sided target the other side is not explained. */
const nameOf = (side, row) => SIDES[side] + (row.side === "both" || row.side === side ? "" : ", which is not explained");

/** What the explanation does not cover of the strongest exemplars. */
function missed(counts, all) {
  if (!counts) return null;
  const which = counts.of === all ? `the ${counts.of} strongest` : `the ${counts.of} whose text the run has collected`;
  const tokens = counts.tokens.map((token, i) => [i ? ", " : "", h("code", {}, t(token))]);
  if (!counts.missed) return h("p", { class: "note" }, `Covered: the strongest token of all of ${which}.`);
  return h("p", { class: "missed" }, h("b", {}, "Not covered: "), `${counts.missed} of ${which}. The formula says nothing of `, tokens, ".");
}

function panel(side, name, maps, counts) {
  const scale = scaleOf(maps.map((map) => map.values));
  const splits = [...new Set(maps.map((map) => map.split ?? "explore"))];
  const numbered = maps.map((map, i) => ({ ...map, id: `${side}${i}` }));
  return h("div", { class: "panel" }, splits.map((split, i) => group(name, split, numbered.filter((map) => (map.split ?? "explore") === split), scale, i ? null : missed(counts, maps.length))));
}

function group(name, split, maps, scale, note) {
  const list = h("ol", { class: "maps" });
  const draw = (n) => list.replaceChildren(...maps.slice(0, n).map((map, i) => h("li", { id: map.id, tabindex: "-1" }, map.covered === false ? h("span", { class: "not-covered" }, "not covered") : null, heat(map, { scale, label: `${name}, ${split} exemplar ${i + 1}` }))));
  draw(FIRST);
  const rest = maps.length - FIRST;
  const more = rest > 0 ? h("button", { type: "button", class: "quiet", on: { click: (event) => [draw(maps.length), event.currentTarget.remove()] } }, `${plural(rest, "more exemplar")}`) : null;
  return h("div", {}, h("h3", { class: "panel-head" }, name, h("small", {}, ` ${split}, n = ${maps.length}`), heatKey(scale)), note, list, more);
}
