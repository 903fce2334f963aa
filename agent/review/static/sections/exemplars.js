/** Exemplars of both sides as token heat maps: the strongest of explore; others are grouped by their split. */

import { h } from "../dom.js";
import { plural } from "../format.js";
import { heat, heatKey, scaleOf } from "../heat.js";
import { empty, section } from "../parts.js";

const FIRST = 8; // shown at once; the rest on demand
const SIDES = [["+", "Positive side"], ["-", "Negative side"]];

export function exemplars({ exemplars: maps }) {
  const sides = SIDES.filter(([side]) => maps?.[side]?.length);
  const note = "Orange fires positively, blue negatively. The grey first token of a context is never scored.";
  return section("exemplars", "Exemplars", note, sides.length ? sides.map(([side, name]) => panel(side, name, maps[side])) : empty("No exemplars are stored for this target."));
}

function panel(side, name, maps) {
  const scale = scaleOf(maps.map((map) => map.values));
  const splits = [...new Set(maps.map((map) => map.split ?? "explore"))];
  const numbered = maps.map((map, i) => ({ ...map, id: `${side}${i}` }));
  return h("div", { class: "panel" }, splits.map((split) => group(name, split, numbered.filter((map) => (map.split ?? "explore") === split), scale)));
}

function group(name, split, maps, scale) {
  const list = h("ol", { class: "maps" });
  const draw = (n) => list.replaceChildren(...maps.slice(0, n).map((map, i) => h("li", { id: map.id, tabindex: "-1" }, heat(map, { scale, label: `${name}, ${split} exemplar ${i + 1}` }))));
  draw(FIRST);
  const rest = maps.length - FIRST;
  const more = rest > 0 ? h("button", { type: "button", class: "quiet", on: { click: (event) => [draw(maps.length), event.currentTarget.remove()] } }, `${plural(rest, "more exemplar")}`) : null;
  return h("div", {}, h("h3", { class: "panel-head" }, name, h("small", {}, ` ${split}, n = ${maps.length}`), heatKey(scale)), list, more);
}
