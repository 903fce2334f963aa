/** What the unit does to the model: the tokens that it writes, ablation and steering, and its nearest units. */

import { h, t } from "../dom.js";
import { number, signed } from "../format.js";
import { grid, section } from "../parts.js";
import { href, path } from "../router.js";

export function writes(found) {
  if (!found?.promoted?.length && !found?.suppressed?.length) return null;
  return section("writes", "What it writes", "Logit lens: what an activation of 1 adds to a token's logit.",
    h("div", { class: "two" }, words("promotes", found.promoted), words("suppresses", found.suppressed)));
}

export function words(title, listed) {
  const most = Math.max(1e-9, ...(listed ?? []).map((one) => Math.abs(one.weight)));
  return h("div", {}, h("h3", {}, title), h("ol", { class: "weights" }, (listed ?? []).map((one) => h("li", {}, h("span", { class: `meter ${one.weight < 0 ? "neg" : "pos"}`, style: { "--share": Math.abs(one.weight) / most } }), h("code", {}, t(one.token)), h("span", { class: "num" }, signed(one.weight))))));
}

export function nearest({ run }, found) {
  if (!found?.length) return null;
  const rows = found.map((one) => [h("a", { href: href(path(["runs", run, "targets", one.target])) }, t(one.target)), number(one.cosine), t(one.explanation ?? "")]);
  return section("nearest", "Nearest units", "By cosine of what they do; click through.", grid("Nearest units", [["unit", ""], ["cosine", "num"], ["explanation", ""]], rows));
}

/** Results of ablating, steering and other instruments, in whatever shape they have. */
export function effects(list) {
  if (!list?.length) return null;
  return section("effects", "Effects", "What changed in the model when the unit was changed.", list.map((effect) =>
    h("details", { id: effect.id ?? effect.call, tabindex: "-1", class: "effect", open: list.length < 3 }, h("summary", {}, h("b", {}, t(effect.kind)), " ", t(effect.title ?? effect.text ?? "")), shape(without(effect)))));
}

const without = ({ kind: _kind, title: _title, id: _id, call: _call, ...rest }) => ("result" in rest && Object.keys(rest).length <= 2 ? rest.result : rest);

/** Any JSON as nested tables and lists; what is long is cut, with its length. */
export function shape(value, depth = 0) {
  if (value === null || value === undefined) return h("span", { class: "soft" }, "–");
  if (typeof value === "number") return h("span", { class: "num" }, Number.isInteger(value) ? String(value) : signed(value).replace("+", ""));
  if (typeof value !== "object") return t(String(value), { lines: true });
  if (depth > 4) return h("code", {}, t(JSON.stringify(value).slice(0, 400)));
  if (Array.isArray(value)) return list(value, depth);
  return h("dl", { class: "shape" }, Object.entries(value).map(([name, what]) => h("div", {}, h("dt", {}, t(name.replaceAll("_", " "))), h("dd", {}, shape(what, depth + 1)))));
}

const LONGEST = 24;

function list(values, depth) {
  const cut = values.length > LONGEST ? h("span", { class: "soft" }, ` … ${values.length} in all`) : null;
  const shown = values.slice(0, LONGEST);
  if (values.every((one) => typeof one !== "object" || one === null)) return h("span", {}, shown.map((one, i) => [i ? ", " : "", shape(one, depth + 1)]), cut);
  return h("ol", { class: "shape" }, shown.map((one) => h("li", {}, shape(one, depth + 1))), cut);
}
