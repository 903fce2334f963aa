/** Views that follow a log while it grows. */

import { REPORT, get } from "./api.js";
import { h, swap } from "./dom.js";

const EVERY = 2000; // ms; the answer is one small number

/** Calls `changed` whenever the log of a run (null: any run) has grown, while somebody looks.
 * @returns {{node: Node, stop: function}} a small sign that says whether the page is up to date. */
export function watchLog(run, changed) {
  const node = h("span", { class: "live" });
  if (REPORT) return { node, stop: () => {} };
  let version = null;
  let timer = 0;
  let stopped = false;
  const tick = async () => {
    if (!document.hidden) version = await look(run, version, changed, node);
    if (!stopped) timer = setTimeout(tick, EVERY);
  };
  timer = setTimeout(tick, 0);
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
  };
  return { node, stop };
}

async function look(run, before, changed, node) {
  try {
    const { version } = await get("/api/events", { run });
    if (before !== null && version !== before) {
      await changed();
      swap(node, h("i", { class: "pulse" }), "live");
    } else if (!node.firstChild || node.classList.contains("lost")) swap(node, "up to date");
    node.classList.remove("lost");
    return version;
  } catch (error) {
    node.classList.add("lost");
    swap(node, error.status === 0 ? "server gone" : "not live");
    return before;
  }
}
