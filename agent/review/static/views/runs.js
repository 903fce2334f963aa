/** All runs: their settings, progress and results; live while a run writes. */

import { get } from "../api.js";
import { h, swap, t } from "../dom.js";
import { count, interval, number, percent, plural, time, usd } from "../format.js";
import { watchLog } from "../live.js";
import { empty, outcomeName, verdict } from "../parts.js";
import { go, href, path } from "../router.js";

export async function runsView() {
  const list = h("div", {});
  let at = -1;
  const draw = async () => {
    const { runs } = await get("/api/runs");
    swap(list, runs.length ? table(runs) : nothing());
    if (at >= 0) mark(list, at);
  };
  await draw();
  const move = (by) => {
    const last = list.querySelectorAll("tbody tr").length - 1;
    at = Math.max(0, Math.min(last, at + by));
    mark(list, at)?.focus();
  };
  const log = watchLog(null, draw);
  return {
    title: "Runs",
    node: h("div", {}, h("div", { class: "title-line" }, h("h1", {}, "Runs"), log.node), list),
    keys: [["j", "next run", () => move(1)], ["k", "run before", () => move(-1)], ["Enter", "open it", () => at >= 0 && go(linkOf(list, at))]],
    dispose: log.stop,
  };
}

const linkOf = (list, at) => list.querySelectorAll("tbody tr")[at].querySelector("a").dataset.to;

function mark(list, at) {
  const rows = [...list.querySelectorAll("tbody tr")];
  rows.forEach((row, i) => row.toggleAttribute("aria-current", i === at));
  rows[at]?.setAttribute("aria-current", "true");
  return rows[at]?.querySelector("a");
}

function nothing() {
  return empty("No runs here yet. ", h("code", {}, "hubel demo"), " makes one in minutes; ", h("code", {}, "hubel run --index I --targets T"), " one of your own.");
}

const COLUMNS = [
  ["run", ""], ["subject", "wide-only"], ["explainer", "wide-only"], ["progress", "progress-cell"], ["kept", "num"], ["held-out r", "num"],
  ["false keeps", "num wide-only"], ["cost", "num wide-only"], ["started", "num wide-only"],
];

function table(runs) {
  return h("table", { class: "runs" }, h("caption", { class: "unseen" }, "Runs, the newest first"),
    h("thead", {}, h("tr", {}, COLUMNS.map(([name, cls]) => h("th", { scope: "col", class: cls || null }, name)))),
    h("tbody", {}, runs.map(row)));
}

function row(run) {
  const to = path(run.kind === "circuit" ? ["runs", run.name, "circuit"] : ["runs", run.name]);
  return h("tr", { class: run.state },
    h("th", { scope: "row" }, h("a", { href: href(to), data: { to } }, t(run.name)), h("span", { class: `state ${run.state}` }, run.state), run.notice ? h("p", { class: "row-notice" }, t(run.notice)) : null),
    h("td", { class: "wide-only" }, t(run.subject ?? "–"), h("small", {}, t(run.corpus ?? ""))),
    h("td", { class: "wide-only" }, run.kind === "study" ? "study" : t(run.explainer ?? "–"), h("small", {}, t(run.study ?? ""))),
    h("td", { class: "progress-cell" }, { circuit, study }[run.kind]?.(run) ?? progress(run)),
    h("td", { class: "num" }, run.targets ? [count(run.kept), h("small", {}, ` of ${count(run.targets)}`)] : "–"),
    h("td", { class: "num" }, number(run.mean_r?.value), h("small", {}, run.mean_r ? interval(run.mean_r.low, run.mean_r.high) : "")),
    h("td", { class: "num wide-only" }, run.kind === "units" ? falseKeeps(run.false_keeps) : "–"),
    h("td", { class: "num wide-only" }, usd(run.usd), h("small", {}, run.calls ? plural(run.calls, "call") : "no model calls")),
    h("td", { class: "num wide-only" }, time(run.started)));
}

/** A circuit's verdict is one, and rests on its faithfulness. */
function circuit({ verdict: word, faithfulness: f }) {
  return h("div", { class: "progress" }, word ? verdict({ status: "done", verdict: word }) : null,
    h("small", {}, f ? `circuit, faithfulness ${number(f.value)} [${interval(f.low, f.high)}]` : "circuit"));
}

const CLAIMS = [["supported", "kept"], ["refuted", "rejected"], ["cannot say", "inconclusive"]];

/** A study's claims by verdict. */
function study({ claims }) {
  if (!claims) return h("small", {}, "study");
  return h("div", { class: "progress" }, CLAIMS.filter(([name]) => claims[name]).map(([name, cls]) => h("span", { class: `verdict ${cls}` }, `${count(claims[name])} ${name} `)));
}

function falseKeeps(rate) {
  if (!rate) return h("span", { class: "soft", title: "hubel bench null measures it" }, "not measured");
  return [percent(rate.rate, 1), h("small", {}, `${count(rate.kept)} of ${count(rate.of)} nulls`)];
}

const PARTS = ["kept", "inconclusive", "rejected", "failed", "undecided", "pending"];

/** A run's targets by what became of them, as one bar with its words. */
export function progress(run) {
  const label = PARTS.filter((name) => run[name]).map((name) => `${count(run[name])} ${outcomeName(name)}`).join(", ") || "no targets";
  return h("div", { class: "progress" },
    h("div", { class: "stack", role: "img", "aria-label": label }, PARTS.map((name) => (run[name] ? h("i", { class: name, style: { "flex-grow": run[name] }, "data-tip": `${count(run[name])} ${outcomeName(name)}` }) : null))),
    h("small", {}, run.pending && run.state === "running" ? `${count(run.done)} of ${count(run.targets)} done` : label));
}
