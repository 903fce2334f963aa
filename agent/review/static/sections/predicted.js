/** Predicted beside true activations, the largest errors first. Opening held-out text takes a step that says what it means. */

import { REPORT, get, post } from "../api.js";
import { h, say, swap, t } from "../dom.js";
import { interval, number, time } from "../format.js";
import { heat, heatKey, scaleOf } from "../heat.js";
import { empty, failed, section, waiting } from "../parts.js";
import { askName } from "../reviewing.js";
import { change, here } from "../router.js";

const FIRST = 6;

export function predicted(place, page, query) {
  const box = h("div", { class: "predicted" }, waiting(4));
  const split = () => here().query.get("split") ?? "select";
  const buttons = h("div", { class: "toggles", role: "group", "aria-label": "Split" });
  let requested = "";
  const load = async (which) => {
    swap(buttons, ["select", "holdout"].map((name) => h("button", { type: "button", class: "toggle", "aria-pressed": String(name === which), on: { click: () => pick(name) } }, name === "holdout" && !page.holdout_opened ? "held-out (closed)" : name)));
    requested = which;
    const shown = await part(place, page, which, load);
    if (requested === which) swap(box, shown); // a late answer to an earlier choice is dropped
  };
  const pick = (name) => {
    change({ split: name === "select" ? null : name }, { quiet: true });
    load(name);
  };
  load(query.get("split") === "holdout" ? "holdout" : split());
  const opened = page.holdout_opened;
  return section("predicted", "Predicted beside true", ["The largest errors first. ", opened ? ["Held-out text was opened by ", t(opened.name), `, ${time(opened.time)}.`] : null], REPORT ? null : buttons, box);
}

async function part(place, page, which, load) {
  if (which === "holdout" && !page.holdout_opened) return door(place, page, () => load("holdout"));
  try {
    return pairs(await get(`${place.base}/predicted`, which === "select" ? {} : { split: which }), page.row.side);
  } catch (error) {
    return error.status === 404 ? empty(error.message) : failed(error, () => load(which));
  }
}

/** What opening means, before it happens. */
function door(place, page, opened) {
  const open = async () => {
    const name = await askName("Open held-out text", "It cannot be closed again: the log will say that you opened it.", "Open it");
    if (!name) return;
    try {
      page.holdout_opened = (await post(`${place.base}/open-holdout`, { name })).opened;
      say("Held-out text is open");
      await opened();
    } catch (error) {
      swap(box.lastChild, failed(error));
    }
  };
  const box = h("div", { class: "door" },
    h("h3", {}, "Held-out text is closed"),
    h("p", {}, "The score of this explanation is honest because nobody looked at this text before it was scored. You may look now; then:"),
    h("ul", {}, h("li", {}, "the log says who opened it, and when;"), h("li", {}, "every explanation of this target that is written or edited afterwards is marked ", h("em", {}, "after viewing"), " and is scored on other text;"), h("li", {}, "the verdict and the figures of this run stay as they are.")),
    h("button", { type: "button", class: "main", on: { click: open } }, "Open held-out text …"), h("div", {}));
  return box;
}

/** The signal of a negative side is a size; it is shown as what it is, a negative activation. */
export function signedMap(map, side) {
  if (side !== "-") return map;
  const turned = (values) => values?.map((value) => (value === null ? null : -value)) ?? null;
  return { ...map, values: turned(map.values), predicted: turned(map.predicted) };
}

function pairs(answer, side) {
  const maps = (answer.maps ?? []).map((map) => signedMap(map, side));
  if (!maps.length) return empty("Nothing to compare: this explanation has no predicate, or no text was kept.");
  const scales = [answer.scale ?? scaleOf(maps.map((map) => map.values)), answer.predicted_scale ?? scaleOf(maps.map((map) => map.predicted ?? []))];
  const list = h("ol", { class: "pairs" });
  const draw = (n) => swap(list, maps.slice(0, n).map((map, i) => pair(map, i, scales)));
  draw(FIRST);
  const rest = maps.length - FIRST;
  const measure = answer.measure ? h("p", { class: "note" }, `r ${number(answer.measure.r)} [${interval(answer.measure.low, answer.measure.high)}] on ${answer.split}.`) : null;
  return [measure, h("div", { class: "pair-head" }, h("h3", {}, "true ", heatKey(scales[0])), h("h3", {}, "predicted ", heatKey(scales[1]))), list,
    rest > 0 ? h("button", { type: "button", class: "quiet", on: { click: (event) => [draw(maps.length), event.currentTarget.remove()] } }, `${rest} more`) : null];
}

function pair(map, i, scales) {
  return h("li", { class: "pair" }, heat(map, { scale: scales[0], label: `context ${i + 1}, true` }), heat(map, { scale: scales[1], by: "predicted", label: `context ${i + 1}, predicted`, source: false }));
}
