/** One target: the evidence for and against its explanation, and a person's verdict on it. */

import { REPORT, address, get } from "../api.js";
import { h, swap, t } from "../dom.js";
import { count, interval, isOneSided, number, percent, probability, seconds, sideName, usd } from "../format.js";
import { exemplars } from "../sections/exemplars.js";
import { explanation } from "../sections/explanation.js";
import { effects, nearest, writes } from "../sections/effects.js";
import { hypotheses } from "../sections/hypotheses.js";
import { predicted } from "../sections/predicted.js";
import { isWaiting, reviews } from "../sections/reviews.js";
import { distribution, scores } from "../sections/scores.js";
import { watchLog } from "../live.js";
import { artefact, crumbs, facts, floorsOf, gist, notices, section, tier, verdict } from "../parts.js";
import { bar } from "../plots.js";
import { reviewKeys, tell } from "../reviewing.js";
import { go, href, path } from "../router.js";
import { findings } from "../sections/findings.js";

export async function targetView({ run, target }, query) {
  const place = { run, target, base: address("runs", run, "targets", target) };
  let page = await get(place.base);
  const body = h("div", {});
  const around = h("nav", { class: "around", "aria-label": "Targets before and after" });
  const verdicts = h("div", {});
  let awaited = 0;
  const shown = () => {
    swap(verdicts, reviews(place, page, again));
    if (!REPORT && isWaiting(page.reviews)) awaited = setTimeout(again, 4000);
  };
  const again = async () => {
    clearTimeout(awaited);
    page = await get(place.base);
    shown();
  };
  shown();
  swap(body, parts(place, page, query, verdicts));
  const walk = await neighbours(place, page, query);
  swap(around, ["previous", "next"].map((name) => (walk[name] ? h("a", { href: href(walk[name]), rel: name === "next" ? "next" : "prev" }, name) : h("span", { class: "soft" }, name))));
  const log = page.row.status === "done" ? null : watchLog(run, async () => {
    page = await get(place.base);
    swap(body, parts(place, page, query, verdicts));
  });
  const list = query.get("list");
  const node = h("div", { class: "target" },
    h("div", { class: "title-line" }, crumbs([["Runs", href("/")], [run, href(path(["runs", run]) + (list ? `?${list}` : ""))], [target]]), log?.node, around), body);
  const to = (way) => () => walk[way] && go(walk[way]);
  return {
    title: `${target} · ${run}`,
    node,
    update: () => {}, // only the place in the page can change
    keys: [
      ["j", "next target", to("next")], ["k", "target before", to("previous")],
      ["t", "transcript", () => go(path(["runs", run, "targets", target, "transcript"]))],
      ["b", "back to the list", () => go(path(["runs", run]) + (list ? `?${list}` : ""))],
      ...reviewKeys(() => ({ run, target, row: page.row }), again),
    ],
    dispose: () => [clearTimeout(awaited), log?.stop()],
  };
}

/** The targets before and after: in the list one came from, or else in the run's order. */
async function neighbours({ run }, page, query) {
  if (!query.has("list")) {
    const at = (target) => (target ? path(["runs", run, "targets", target]) : null);
    return { previous: at(page.previous), next: at(page.next) };
  }
  const i = Number(query.get("i"));
  const list = Object.fromEntries(new URLSearchParams(query.get("list")));
  try {
    const { rows } = await get(`${address("runs", run)}/targets`, { ...list, offset: Math.max(0, i - 1), limit: 3 });
    const place = rows.findIndex((row) => row.target === page.row.target);
    const at = (row, n) => (row ? path(["runs", run, "targets", row.target], { list: query.get("list"), i: n }) : null);
    return { previous: at(rows[place - 1], i - 1), next: at(rows[place + 1], i + 1) };
  } catch (error) {
    tell(error);
    return { previous: null, next: null };
  }
}

function parts(place, page, query, verdicts) {
  const row = page.row;
  return [
    head(place, page),
    notices(page.notices),
    row.error ? h("div", { class: "banner error", role: "note" }, h("b", {}, "This target failed. "), t(row.error, { lines: true, name: "span" })) : null,
    verdicts,
    explanation(page),
    h("div", { class: "columns" },
      h("div", { class: "column-main" }, exemplars(page), predicted(place, page, query)),
      h("div", { class: "column-side" }, scores(page), distribution(page), writes(page.writes), nearest(place, page.nearest, page.kind), costs(page))),
    findings(place, page),
    hypotheses(page),
    effects(page.effects),
  ];
}

function head({ run, target }, page) {
  const row = page.row;
  const links = [
    [path(["runs", run, "targets", target, "transcript"]), "transcript"],
    REPORT ? null : [path(["try"], { run, target }), "try it"],
  ].filter(Boolean);
  return h("header", { class: "target-head" },
    h("div", { class: "line" }, h("h1", {}, t(target)), h("span", { class: "soft" }, `layer ${row.layer}${isOneSided(target) ? "" : `, ${sideName(row.side)}`}${page.kind && page.kind !== "unit" ? `, ${page.kind}` : ""}`), tier(row), row.artefact ? artefact(row) : null, verdict(row),
      row.r === null ? null : h("span", { class: "line tight" }, bar(row.r, row.low, row.high, row.verdict, floorsOf(row)), h("span", { class: "num" }, h("b", {}, `r ${number(row.r)}`), ` [${interval(row.low, row.high)}]`)),
      h("span", { class: "space" }), links.map(([to, name]) => h("a", { href: href(to), class: "button" }, name))),
    row.headline ? h("p", { class: "headline" }, t(row.headline)) : null,
    row.explanation ? h("p", { class: "claim" }, t(row.explanation)) : h("p", { class: "claim soft" }, "No explanation."),
    gist(page.gist, row.explanation),
    row.artefact ? h("p", { class: "note" }, h("b", {}, "Artefact. "), t(row.artefact)) : null,
    row.predicate && !page.formula ? h("p", { class: "predicate" }, h("code", {}, t(row.predicate))) : null,
    row.reason ? h("p", { class: "note" }, t(row.reason), row.p === null || / p /.test(row.reason) ? "" : ` p ${probability(row.p)}.`) : null);
}

function costs({ cost, statistics, over_trivial: over }) {
  const numbers = Object.entries(statistics ?? {}).map(([name, value]) => [t(name.replaceAll("_", " ")), typeof value === "number" ? String(Number(value.toPrecision(3))) : t(value)]);
  const paid = cost ? [
    ["dollars", usd(cost.usd)], ["model calls", count(cost.calls)], ["time", seconds(cost.seconds)],
    ["tokens in", [count(cost.input_tokens), cost.input_tokens ? h("small", {}, `${percent(cost.cached_tokens / cost.input_tokens)} from cache`) : null]], ["tokens out", count(cost.output_tokens)],
  ] : [];
  const gain = over ? [["r over best trivial, 95 %", Array.isArray(over) ? interval(over[0], over[1]) : interval(over.low, over.high)]] : [];
  return [
    section("statistics", "Statistics", "Of the raw activation on explore.", facts([...gain, ...numbers], "small")),
    section("cost", "Cost", null, facts(paid, "small")),
  ];
}
