/** The filters above the list of targets; the choice is kept in the URL. */

import { debounced, h } from "../dom.js";
import { TIERS, outcomeName } from "../parts.js";

const VERDICTS = ["kept", "inconclusive", "rejected", "failed", "undecided", "pending"];
const REVIEWS = [["", "any review"], ["none", "not reviewed"], ["approve", "approved"], ["reject", "rejected"], ["edit", "edited"], ["note", "with a note"]];
const WHERE = [["explanations", "explanations"], ["transcripts", "transcripts"], ["exemplars", "exemplars"], ["explanations,transcripts,exemplars", "everywhere"]];
const TYPED = 120; // ms after the last key

/** @param changed is called with {name: value}; `show(query)` puts a query into the controls. */
export function filters(facets, query, changed) {
  const soon = debounced((values) => changed(values), TYPED);
  const typed = (name) => ({ input: (event) => soon({ [name]: event.target.value.trim() }) });
  const picked = (name) => ({ change: (event) => changed({ [name]: event.target.value }) });
  const select = (name, label, options) => h("select", { "aria-label": label, name, on: picked(name) }, options.map(([value, text]) => h("option", { value }, text)));
  const search = h("input", { type: "search", name: "q", placeholder: "Search words  /", "aria-label": "Search words", autocomplete: "off", spellcheck: "false", on: typed("q") });
  const range = (name, label, text) => h("label", { class: "range" }, `${text} `, h("input", { type: "number", step: "0.05", min: "-1", max: "1", name, "aria-label": label, on: typed(name) }));
  const options = (all, name) => [["", name], ...all.map((value) => [String(value), String(value)])];
  const boxes = VERDICTS.map((name) => toggle(name, changed, () => chosen(boxes)));
  const node = h("form", { class: "filters", role: "search", "aria-label": "Targets", on: { submit: (event) => event.preventDefault() } },
    h("div", { class: "joined" }, search, select("in", "Where to search", WHERE)),
    h("div", { class: "toggles", role: "group", "aria-label": "Verdict" }, boxes),
    select("layer", "Layer", options(facets.layers ?? [], "all layers")),
    facets.sites?.length > 1 ? select("site", "Site", options(facets.sites, "all sites")) : null,
    facets.sides?.length > 1 ? select("side", "Side", options(facets.sides, "all sides")) : null,
    facets.tiers?.length ? select("tier", "Tier", options(Object.keys(TIERS), "all tiers")) : null,
    select("review", "Review", REVIEWS),
    range("r_min", "Held-out r at least", "r ≥"), range("drop_min", "Drop from select to holdout at least", "drop ≥"));
  const show = (params) => showIn(node, boxes, params);
  show(query);
  new ResizeObserver(() => document.documentElement.style.setProperty("--filters", getComputedStyle(node).position === "sticky" ? `${node.offsetHeight}px` : "0px")).observe(node);
  return { node, show, focus: () => search.select() ?? search.focus() };
}

function toggle(name, changed, all) {
  return h("button", { type: "button", class: `toggle verdict ${name}`, "aria-pressed": "false", value: name, on: { click: (event) => {
    const button = event.currentTarget;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    changed({ verdict: all().join(",") });
  } } }, outcomeName(name));
}

const chosen = (boxes) => boxes.filter((box) => box.getAttribute("aria-pressed") === "true").map((box) => box.value);

function showIn(node, boxes, query) {
  for (const input of node.querySelectorAll("input, select")) {
    const value = query.get(input.name) ?? (input.name === "in" ? "explanations" : "");
    if (input !== document.activeElement || input.tagName === "SELECT") input.value = value;
  }
  const verdicts = (query.get("verdict") ?? "").split(",");
  for (const box of boxes) box.setAttribute("aria-pressed", String(verdicts.includes(box.value)));
}
