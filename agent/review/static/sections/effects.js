/** Effects of the unit on the model: the tokens that it writes, ablation and steering; and its nearest units. */

import { h, t } from "../dom.js";
import { number, plural, signed } from "../format.js";
import { empty, section, verdict } from "../parts.js";
import { href, path } from "../router.js";

export function writes(lens) {
  if (!lens?.promoted?.length && !lens?.suppressed?.length) return null;
  return section("writes", "What it writes", "Logit lens: what an activation of 1 adds to a token's logit.",
    h("div", { class: "two" }, words("promotes", lens.promoted), words("suppresses", lens.suppressed)));
}

export function words(title, listed) {
  const most = Math.max(1e-9, ...(listed ?? []).map((one) => Math.abs(one.weight)));
  return h("div", {}, h("h3", {}, title), h("ol", { class: "weights" }, (listed ?? []).map((one) => h("li", {}, h("span", { class: `meter ${one.weight < 0 ? "neg" : "pos"}`, style: { "--share": Math.abs(one.weight) / most } }), h("code", {}, t(one.token)), h("span", { class: "num" }, signed(one.weight))))));
}

const BY = { write: "By what they write", move: "By what they move (OV)", together: "Active together" };
const WHERE = { earlier: "earlier", same: "same layer", later: "later" };

/** Units with nearly the same or the opposite direction, and units that are active at the same tokens. */
export function nearest({ run }, recorded, kind) {
  if (recorded === null || recorded === undefined) {
    return section("nearest", "Nearest units", null, empty("Not recorded when this run was made. ", h("code", {}, "hubel resume ", t(run), " --neighbours"), " adds them."));
  }
  const lists = recorded.filter((list) => list.alike.length || list.opposite.length);
  if (!lists.length) return section("nearest", "Nearest units", null, empty(kind === "unit" ? "There is nothing to compare it with." : "No unit of the subject: it writes nothing, and no other target is active with it."));
  return section("nearest", "Nearest units", "Those that this run explained can be opened.", lists.map((list) => neighbours(run, list)));
}

function neighbours(run, list) {
  const compared = list.by === "together" ? `r of the signals on explore, ${plural(list.compared, "other target")}` : `cosine, ${plural(list.compared, "unit")} compared`;
  return h("div", { class: "near" }, h("h3", {}, BY[list.by] ?? t(list.by), h("small", {}, ` ${compared}`)),
    h("ol", { class: "weights" }, [...list.alike, ...list.opposite].map((one) => h("li", {},
      h("span", { class: `meter ${one.value < 0 ? "neg" : "pos"}`, style: { "--share": Math.abs(one.value) } }),
      h("span", {}, one.target ? h("a", { href: href(path(["runs", run, "targets", one.target])) }, t(one.target)) : t(one.unit), one.verdict ? [" ", verdict({ status: "done", verdict: one.verdict })] : null,
        one.explanation ? h("span", { class: "says" }, t(one.explanation)) : h("small", {}, ` ${WHERE[one.where] ?? ""}`)),
      h("span", { class: "num" }, number(one.value))))));
}

/** Results of ablating, steering and other instruments: as the explainer read them, and as data. */
export function effects(list) {
  if (!list?.length) return null;
  return section("effects", "Effects", "What the explainer changed or measured in the model, with the results.", list.map((effect) =>
    h("details", { id: effect.id, tabindex: "-1", class: `effect${effect.error ? " wrong" : ""}`, open: list.length < 4 },
      h("summary", {}, h("b", {}, t(effect.kind)), " ", h("span", { class: "soft" }, t(argumentsLine(effect.arguments)))),
      effect.rendered ? [h("pre", { class: "rendered" }, t(effect.rendered, { lines: true })), h("details", {}, h("summary", {}, "as data"), shape(effect.result))] : shape(effect.result))));
}

/** The arguments of an instrument in one line, without the unit. */
function argumentsLine(args) {
  const parts = Object.entries(args ?? {}).filter(([name]) => !["unit", "units"].includes(name)).map(([name, what]) => `${name} ${typeof what === "string" ? what : JSON.stringify(what)}`);
  const line = parts.join(", ");
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}

/** Any JSON as nested tables and lists; long lists are cut, with their length. */
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
