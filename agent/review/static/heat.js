/** Token heat maps. Orange is positive, blue negative, in eight steps of a scale that the maps of a panel share; the
 * strongest token is bold. Hover shows a token's value; with the focus on a map the arrow keys go from token to token. */

import { h, say, t, visible } from "./dom.js";
import { known, signed } from "./format.js";

const STEPS = 8;
const BEFORE = 22;
const LONGEST = 120; // characters of one token
const AFTER = 7; // few, since a unit of a causal model responds to what comes before

/** The largest absolute value of several series, position 0 left out: the value of full colour. */
export function scaleOf(series) {
  let most = 0;
  for (const values of series) for (let i = 1; i < values.length; i += 1) if (known(values[i])) most = Math.max(most, Math.abs(values[i]));
  return most;
}

/** One context: `{tokens, values, predicted, peak, source}`.
 * @param options scale, `by` ("values" | "predicted"), `label` for a screen reader, `whole` to show all of it,
 *   `onPick(i)` when a token is chosen. */
export function heat(map, { scale, by = "values", label = "", whole = false, source = true, onPick = null }) {
  const values = map[by] ?? map.values;
  const node = h("div", { class: "heat", tabindex: "0", role: "group", "aria-label": label || "token activations", "aria-roledescription": "token heat map" });
  const draw = (all) => {
    const [first, last] = all ? [0, map.tokens.length] : windowOf(map);
    node.replaceChildren();
    if (first > 0) node.append(more("…", first, () => draw(true)));
    for (let i = first; i < last; i += 1) append(node, map, values, i, scale, by);
    if (last < map.tokens.length) node.append(more("…", map.tokens.length - last, () => draw(true)));
    if (source && map.source) node.append(" ", t(map.source, { name: "small", cls: "from" }));
  };
  draw(whole);
  node.pick = onPick;
  return node;
}

function windowOf(map) {
  const peak = known(map.peak) ? map.peak : 0;
  return [Math.max(0, peak - BEFORE), Math.min(map.tokens.length, peak + AFTER + 1)];
}

function more(text, hidden, open) {
  const title = `${hidden} more tokens`;
  return h("button", { class: "more", type: "button", title, "aria-label": title, on: { click: open } }, text);
}

function append(node, map, values, i, scale, by) {
  const text = map.tokens[i].length > LONGEST ? `${map.tokens[i].slice(0, LONGEST)}…` : map.tokens[i];
  const step = i === 0 ? 0 : stepOf(values[i], scale);
  const isPeak = i === map.peak && by === "values";
  const word = text.replace(/^ +/, "");
  const blank = word === "" && (step || isPeak); // a coloured token of spaces has to be seen
  if (!blank && word.length < text.length) node.append(" ".repeat(text.length - word.length));
  const shown = t(blank ? "␣".repeat(text.length) : word, { name: "i", cls: [shade(step), isPeak && "k", i === 0 && "o", map.named?.includes(i) && "named"].filter(Boolean).join(" ") });
  shown.dataset.tip = tipOf(map, i);
  shown.dataset.i = String(i);
  node.append(shown);
}

function tipOf(map, i) {
  if (i === 0) return `${signed(map.values[0])} (position 0, not scored)`;
  return map.predicted ? `${signed(map.values[i])}, predicted ${signed(map.predicted[i])}` : signed(map.values[i]);
}

function stepOf(value, scale) {
  if (!(scale > 0) || !known(value)) return 0;
  return Math.sign(value) * Math.round(STEPS * Math.min(Math.abs(value) / scale, 1));
}

/** The class of a shade from -8 to 8, one of those in figures.css. */
export const shade = (step) => (step ? `${step > 0 ? "p" : "n"}${Math.abs(step)}` : "");

/** The legend of a panel: the values of the colours. */
export function heatKey(scale, name = "full colour") {
  const steps = [-8, -5, -2, 2, 5, 8].map((step) => h("i", { class: shade(step) }));
  return h("span", { class: "heat-key" }, h("span", { class: "swatches", "aria-hidden": "true" }, steps), ` ${name} ±${signed(scale).replace("+", "")}`);
}

let lit = null;

function light(token) {
  lit?.classList.remove("lit");
  lit = token;
  const tip = document.getElementById("tip");
  tip.hidden = !token;
  if (!token) return;
  token.classList.add("lit");
  tip.textContent = token.dataset.tip;
  const box = token.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${box.top > 40 ? box.top - tip.offsetHeight - 5 : box.bottom + 5}px`;
}

function step(map, by) {
  const tokens = [...map.querySelectorAll("i")];
  const at = lit && map.contains(lit) ? tokens.indexOf(lit) : Math.max(0, tokens.findIndex((token) => token.classList.contains("k"))) - by;
  const next = tokens[Math.max(0, Math.min(tokens.length - 1, at + by))];
  light(next);
  next.scrollIntoView({ block: "nearest" });
  say(`${visible(next.textContent)}: ${next.dataset.tip}`);
}

/** Hover, arrow keys and choosing of tokens, for all maps of the page. */
export function watchHeat() {
  document.addEventListener("pointerover", (event) => light(event.target.closest?.(".heat i[data-tip]") ?? event.target.closest?.("[data-tip]") ?? null));
  document.addEventListener("focusout", () => light(null));
  document.addEventListener("scroll", () => light(null), { passive: true });
  document.addEventListener("keydown", (event) => {
    const map = event.target.closest?.(".heat");
    if (!map || event.target !== map) return;
    if (event.key === "Escape") light(null);
    if (event.key === "Enter" && lit && map.pick) map.pick(Number(lit.dataset.i));
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(map, by);
  });
  document.addEventListener("click", (event) => {
    const token = event.target.closest?.(".heat i[data-i]");
    token?.parentNode.pick?.(Number(token.dataset.i));
  });
}
