/** Elements out of strings and data. A string is always text, never markup: there is no way here to write HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** h("p", {class: "note", on: {click}}, "text", node, [more], null) */
export function h(name, props, ...children) {
  return filled(document.createElement(name), props, children);
}

/** The same for SVG. */
export function s(name, props, ...children) {
  return filled(document.createElementNS(SVG, name), props, children);
}

function filled(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) set(node, key, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function set(node, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key === "on") for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
  else if (key === "style") for (const [name, what] of Object.entries(value)) node.style.setProperty(name, what);
  else if (key === "data") Object.assign(node.dataset, value);
  else if (key === "value" || key === "checked" || key === "disabled") node[key] = value;
  else node.setAttribute(key, value === true ? "" : value);
}

// Control characters, direction changes, zero-width ones and lone surrogates: what a page would obey and not show.
const INVISIBLE =
  /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e0fff}]/gu;

function picture(character) {
  if (character === "\n") return "⏎";
  if (character === "\t") return "⇥";
  return `‹U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** A string in which nothing is hidden, for attributes and titles. */
export function visible(text) {
  return String(text ?? "").replace(INVISIBLE, picture);
}

/** Text of a corpus, a model or a person as a node: isolated from the direction of the text around it, and with
 * everything in it to be seen. `lines` keeps line breaks as breaks. */
export function t(text, { lines = false, name = "bdi", cls = "" } = {}) {
  const node = h(name, { class: cls || null });
  const all = String(text ?? "");
  let last = 0;
  for (const match of all.matchAll(INVISIBLE)) {
    if (lines && match[0] === "\n") continue;
    node.append(all.slice(last, match.index), h("span", { class: "ctl" }, picture(match[0])));
    last = match.index + match[0].length;
  }
  node.append(all.slice(last));
  return node;
}

/** Reads a sentence to a screen reader. */
export function say(text) {
  const status = document.getElementById("said");
  if (status) status.textContent = visible(text);
}

/** Puts these in the place of everything that an element holds. */
export function swap(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Calls `work` once `ms` have passed without another call. */
export function debounced(work, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
}
