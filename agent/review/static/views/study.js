/** A study: its question, the claims with their verdicts and controls, and its figures, which share one selection. */

import { REPORT, address, get } from "../api.js";
import { h, say, swap, t, visible } from "../dom.js";
import { count, interval, known, value3 } from "../format.js";
import { crumbs, facts, grid, section } from "../parts.js";
import { change, href } from "../router.js";
import { Selection, named } from "../selection.js";
import { drawStudyFigure } from "../study_figures.js";

const MOST_ROWS = 1000;

export async function studyView({ run }, query) {
  const study = await get(address("runs", run, "study"));
  const chosen = h("div", { class: "chosen" });
  const selection = new Selection(() => {
    change(selection.toQuery(), { quiet: true });
    show(true);
  });
  const drawn = study.figures.map((figure) => ({ figure, node: figureBox(figure, selection) }));
  const table = rowTable(study, selection);
  const show = (loud) => {
    const on = selection.apply();
    for (const { node } of drawn) node.querySelector(".scatter")?.dispatchEvent(new Event("selection"));
    swap(chosen, selection.empty ? hint(study) : [h("b", {}, "Selected: "), t(selection.words()), " ", h("button", { type: "button", on: { click: () => selection.pick({}) } }, "Clear")]);
    if (loud) say(selection.empty ? "Nothing is selected" : `Selected: ${selection.words()}; ${count(on)} marked`);
  };
  const update = (params) => {
    selection.fromQuery(params);
    show(false);
  };
  const node = h("div", { class: "study" },
    crumbs([...(REPORT ? [] : [["Runs", href("/")]]), [run]]),
    h("h1", {}, t(study.question)),
    h("p", { class: "note" }, h("b", {}, t(study.study)), ` (${visible(study.family)}) of `, t(study.subjects.join(", ") || "no subject")),
    claims(study),
    h("div", { class: "chosen-bar" }, chosen),
    h("div", { class: "study-figures" }, drawn.map(({ node: one }) => one)),
    table,
    h("details", { class: "about" }, h("summary", {}, "Options"), facts(Object.entries(study.options).map(([name, value]) => [name, t(typeof value === "string" ? value : JSON.stringify(value))]))));
  update(query);
  return { title: study.question, node, update, keys: [["Escape", "clear the selection", () => selection.pick({})]] };
}

function hint({ figures }) {
  return figures.length ? h("span", { class: "soft" }, "Choose a mark, a bar, a cell or a name; sweep over a scatter. What is chosen is marked in every figure. With the keyboard: arrows move, Enter chooses.") : "";
}

const VERDICTS = { supported: "kept", refuted: "rejected", "cannot say": "inconclusive" };

function claims({ claims: all }) {
  const row = (claim) => [
    h("span", { class: `verdict ${VERDICTS[claim.verdict] ?? ""}` }, visible(claim.verdict)), t(claim.claim),
    known(claim.value) ? [value3(claim.value), h("small", {}, interval(claim.low, claim.high, digits(claim)))] : "–",
    known(claim.control) ? value3(claim.control) : "–", count(claim.n),
  ];
  return section("claims", "Claims", "Supported or refuted if the whole interval lies on one side of the control, which could have refuted the claim.",
    grid("Claims of the study", [["verdict"], ["claim", "sentence"], ["value, interval", "num"], ["control", "num"], ["n", "num"]], all.map(row), "claims"));
}

/** Enough digits to tell the ends of an interval apart. */
function digits({ low, high }) {
  const width = Math.abs(high - low);
  return width > 0 && width < 10 ? Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(width)))) : 2;
}

/** A figure that the keyboard can walk: arrows move among its items, Enter chooses, as a click does. */
function figureBox(figure, selection) {
  const first = selection.items.length;
  const content = drawStudyFigure(figure, selection);
  const items = selection.items.slice(first).filter((item) => item.tip);
  const columns = figure.kind === "heat map" ? figure.columns.length : 1;
  let at = -1;
  const move = (by) => {
    items[at]?.node.classList.remove("cursor");
    at = Math.max(0, Math.min(items.length - 1, at < 0 ? 0 : at + by));
    items[at]?.node.classList.add("cursor");
    say(items[at]?.tip ?? "");
  };
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const pressed = (event) => {
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "Enter" && event.target === event.currentTarget) items[at]?.node.dispatchEvent(new MouseEvent("click"));
    else return;
    event.preventDefault();
  };
  const left = () => items[at]?.node.classList.remove("cursor");
  return h("figure", { id: `figure-${figure.name}` }, h("figcaption", { class: "figure-title" }, t(figure.title)),
    h("div", { class: "figure-box", tabindex: "0", role: "group", "aria-label": visible(`${figure.title}. Arrow keys move, Enter chooses.`), on: { keydown: pressed, blur: left } }, content));
}

/** The numbers themselves; a row can be chosen, and is marked like everything else. */
function rowTable({ rows }, selection) {
  if (!rows.length) return null;
  const names = Object.keys(rows[0]);
  const shown = rows.slice(0, MOST_ROWS);
  const numeric = new Set(names.filter((name) => shown.some((row) => typeof row[name] === "number")));
  const line = (row) => {
    const fields = fieldsOf(row, names);
    const pick = h("button", { type: "button", class: "link", on: { click: () => selection.pick(pickOf(row, names)) } }, cell(row[names[0]]));
    return selection.add(h("tr", {}, h("th", { scope: "row" }, pick), names.slice(1).map((name) => h("td", { class: numeric.has(name) ? "num" : null }, cell(row[name])))), fields);
  };
  const note = rows.length > shown.length ? `The first ${count(shown.length)} of ${count(rows.length)} rows; study.json has all.` : `${count(rows.length)} rows.`;
  return section("rows", "Measurements", note, h("div", { class: "wide rows-box", tabindex: "0", role: "region", "aria-label": "Measurements" },
    h("table", { class: "plain" }, h("caption", { class: "unseen" }, "Measurements of the study"), h("thead", {}, h("tr", {}, names.map((name, i) => h("th", { scope: "col", class: i && numeric.has(name) ? "num" : null }, t(name))))), h("tbody", {}, shown.map(line)))));
}

const cell = (value) => (typeof value === "number" ? (Number.isInteger(value) ? String(value) : value3(value)) : t(value ?? "–"));

const isPlace = (value) => typeof value === "string" || Number.isInteger(value);

function fieldsOf(row, names) {
  const places = Object.fromEntries(names.filter((name) => isPlace(row[name])).map((name) => [name, [String(row[name])]]));
  const texts = names.filter((name) => typeof row[name] === "string").map((name) => row[name]);
  if (Number.isInteger(row.layer) && Number.isInteger(row.head)) texts.push(`head.${row.layer}.${row.head}`);
  return { ...named(...texts), ...places, ...(texts.length ? { name: texts } : {}) };
}

/** What choosing a row chooses: its place, if it has one, or its name. */
function pickOf(row, names) {
  const places = ["layer", "head", "neuron", "token"].filter((name) => Number.isInteger(row[name])).map((name) => [name, [String(row[name])]]);
  if (places.length) return Object.fromEntries(places);
  return { [names[0]]: [String(row[names[0]])], ...(typeof row[names[0]] === "string" ? { name: [row[names[0]]] } : {}) };
}
