/** One-letter commands of a view, their help, and the switch that turns them off. */

import { h, say } from "./dom.js";

let current = [];
let off = localStore()?.getItem("hubel-keys") === "off";

/** The commands of the view that is shown: [["j", "next target", () => ...], ...]. */
export function bind(commands) {
  current = commands;
}

export function watchKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
    if (typing || document.querySelector("dialog[open]")) return;
    if (event.key === "?") return take(event, help);
    if (off) return undefined;
    const binding = current.find(([key]) => key === event.key);
    const pressing = event.key === "Enter" && event.target.closest?.("a, button, summary");
    return binding && !pressing ? take(event, binding[2]) : undefined;
  });
}

function take(event, work) {
  event.preventDefault();
  work();
}

/** Shows what keys do here. */
export function help() {
  const rows = [...current, ["?", "this help"]].map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what)));
  const box = h("input", { type: "checkbox", checked: !off, on: { change: (event) => turn(!event.target.checked) } });
  const dialog = h("dialog", { class: "sheet", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h("table", { class: "plain" }, h("tbody", {}, rows)),
    h("p", { class: "note" }, "In a heat map, the arrow keys go from token to token and say its value."),
    h("label", { class: "check" }, box, " one-letter keys are on"),
    h("form", { method: "dialog", class: "actions" }, h("button", { class: "main" }, "Close")),
  );
  show(dialog);
}

/** Opens a dialog, and takes it out of the page when it closes; the focus goes back to where it was. */
export function show(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.();
  });
  dialog.showModal();
}

function turn(isOff) {
  off = isOff;
  localStore()?.setItem("hubel-keys", off ? "off" : "on");
  say(off ? "One-letter keys are off" : "One-letter keys are on");
}

/** The browser's store, or null where a page may not have one (a report in a file, say). */
export function localStore() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
