/** The page: the view of each address, and what all views have in common. */

import { REPORT } from "./api.js";
import { h, say, swap, visible } from "./dom.js";
import { watchHeat } from "./heat.js";
import { bind, help, watchKeys } from "./keys.js";
import { failed, waiting } from "./parts.js";
import { here, href, matched, onChange, path, remember, watch } from "./router.js";
import { themeSwitch } from "./theme.js";
import { circuitView } from "./views/circuit.js";
import { compareView } from "./views/compare.js";
import { runView } from "./views/run.js";
import { runsView } from "./views/runs.js";
import { targetView } from "./views/target.js";
import { transcriptView } from "./views/transcript.js";
import { tryView } from "./views/try.js";

const ROUTES = [
  ["/", runsView],
  ["/runs/:run", runView],
  ["/runs/:run/circuit", circuitView],
  ["/runs/:run/targets/:target", targetView],
  ["/runs/:run/targets/:target/transcript", transcriptView],
  ["/compare", compareView],
  ["/try", tryView],
];

const main = document.getElementById("main");
let shown = null;
let turn = 0;

/** Shows the view of the address. The old view stays until the new one is ready, so that nothing jumps. */
async function show(how) {
  const to = here();
  turn += 1;
  const ownTurn = turn;
  main.setAttribute("aria-busy", "true");
  if (shown?.path === to.path && shown.view.update) {
    await shown.view.update(to.query);
    if (ownTurn === turn) main.removeAttribute("aria-busy");
    return restore(how);
  }
  const view = await opened(to);
  if (ownTurn !== turn) return view.dispose?.();
  shown?.view.dispose?.();
  shown = { path: to.path, view };
  bind(view.keys ?? []);
  swap(main, view.node);
  await view.start?.();
  if (ownTurn !== turn) return undefined;
  main.removeAttribute("aria-busy");
  document.title = `${visible(view.title)} – hubel`;
  navigation();
  return arrived(how, to);
}

async function opened({ path: address, query }) {
  const route = matched(ROUTES, address);
  try {
    if (!route) throw new Error(`There is nothing at ${address}.`);
    return await route.view(route.params, query);
  } catch (error) {
    return { title: "not there", node: h("div", {}, h("h1", {}, "This cannot be shown"), failed(error, () => show("replace"))) };
  }
}

function arrived(how, to) {
  restore(how);
  if (how === "first") return;
  say(document.title);
  if (to.query.has("at") || how === "pop") return;
  main.focus({ preventScroll: true });
}

function restore(how) {
  if (how === "pop") scrollTo(0, history.state?.y ?? 0);
  else if (how === "push") scrollTo(0, shown?.view.update && history.state?.y ? history.state.y : 0);
  const at = here().query.get("at");
  if (at && how !== "pop") reveal(at);
}

/** Brings a part of the page with that id into view, marked. */
function reveal(id) {
  document.querySelectorAll(".found").forEach((part) => part.classList.remove("found"));
  const part = document.getElementById(id);
  if (!part) return;
  for (let box = part.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  part.scrollIntoView({ block: "start" });
  part.focus({ preventScroll: true });
  part.classList.add("found");
}

function navigation() {
  const now = here().path;
  const links = REPORT ? [] : [["Runs", "/"], ["Compare", "/compare"], ["Try it", "/try"]];
  swap(document.getElementById("bar"),
    h("a", { class: "brand", href: href(REPORT ? path(["runs", REPORT]) : "/") }, "hubel"),
    h("nav", { "aria-label": "Pages" }, links.map(([name, to]) => h("a", { href: href(to), "aria-current": now === to ? "page" : null }, name))),
    h("span", { class: "space" }),
    h("button", { class: "quiet icon", type: "button", "aria-label": "Keys", title: "Keys (?)", on: { click: help } }, "?"),
    themeSwitch());
}

/** The token of the first visit is a cookie by now and need not stay in the address. */
function forgetToken() {
  const now = new URL(location.href);
  if (!now.searchParams.has("token")) return;
  now.searchParams.delete("token");
  history.replaceState(null, "", now.pathname + now.search);
}

if (!REPORT) forgetToken();
navigation();
swap(main, waiting(6));
watch();
watchKeys();
watchHeat();
onChange(show);
addEventListener("pagehide", remember);
show("first");
