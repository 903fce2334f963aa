/** The targets of a run: a long table that is sorted, filtered, searched, and walked with the keyboard. */

import { address, get } from "../api.js";
import { h, say, swap, t } from "../dom.js";
import { count, interval, known, number, percent, plural, probability, time, usd } from "../format.js";
import { watchLog } from "../live.js";
import { PROVISIONAL, artefact, crumbs, empty, facts, failed, floorsOf, notices, review, tier, verdict } from "../parts.js";
import { bar, dropPlot, layerPlot } from "../plots.js";
import { reviewKeys } from "../reviewing.js";
import { change, go, here, href, path } from "../router.js";
import { LongTable } from "../table.js";
import { filters } from "./filters.js";
import { progress } from "./runs.js";
import { studyView } from "./study.js";

const SORT = { key: "position", dir: "asc" };
const FILTERS = ["layer", "site", "side", "tier", "verdict", "status", "review", "r_min", "r_max", "drop_min"];
const FALLING = ["r", "drop", "usd", "headline_r", "meaning_r", "list"]; // sorted first with the largest on top

export async function runView({ run }, query) {
  const base = address("runs", run);
  const about = await get(base);
  if (about.run.kind === "study" && about.run.state === "done") return studyView({ run }, query);
  const list = new Targets(run, base, about);
  const head = h("div", {});
  const hitBox = h("div", {});
  const controls = filters(about.facets ?? {}, query, (values) => change({ ...values, row: null }, { replace: true }));
  const draw = (fresh) => {
    swap(head, header(fresh.run, fresh));
    list.table.options.columns = columns(fresh);
  };
  draw(about);
  const log = watchLog(run, async () => {
    draw(await get(base));
    await list.load(here().query, true);
  });
  const node = h("div", {}, crumbs([["Runs", href("/")], [run]]), h("div", { class: "title-line" }, h("h1", {}, t(run)), log.node), head, controls.node, hitBox, list.table.node, list.state);
  const update = async (params) => {
    controls.show(params);
    const text = params.get("q") && (params.get("in") ?? "explanations") !== "explanations";
    list.table.node.hidden = Boolean(text);
    swap(hitBox, text ? await hits(run, base, params) : []);
    if (!text) await list.load(params);
  };
  return { title: run, node, update, start: () => update(query), keys: [...list.keys(), ["/", "search", controls.focus]], dispose: () => [log.stop(), list.table.dispose()] };
}

function header(run, { agreement, notices: messages, points, tiers, means }) {
  const stated = facts([
    ["subject", [t(run.subject ?? "–"), h("small", {}, t(run.subject_revision ?? ""))]],
    ["corpus", [t(run.corpus ?? "–"), h("small", {}, t(run.corpus_revision ?? ""))]],
    ["explainer", t(run.explainer ?? "–")],
    ["started", time(run.started)],
    ["cost", [usd(run.usd), h("small", {}, run.calls ? `${plural(run.calls, "model call")}, ${count(run.tokens)} tokens` : "no model calls")]],
    ["false keeps", run.false_keeps ? [percent(run.false_keeps.rate, 1), h("small", {}, `${count(run.false_keeps.kept)} of ${count(run.false_keeps.of)} nulls, 95 % ${percent(run.false_keeps.low, 1)} to ${percent(run.false_keeps.high, 1)}`)] : ["not measured", h("small", {}, "hubel bench null measures it")]],
  ]);
  return [notices(messages), run.notice ? notices([run.notice]) : null, run.undecided ? notices([PROVISIONAL]) : null, figures(run, agreement, tiers, means), overview(points, run.name), h("details", { class: "about" }, h("summary", {}, "Configuration"), stated, configuration(run))];
}

function figures(run, agreement, tiers = {}, means = {}) {
  const figure = (big, name, small) => h("div", {}, h("b", {}, big), h("span", {}, name), h("small", {}, small));
  const people = agreement && agreement.reviewed
    ? figure(`${count(agreement.kept_and_approved + agreement.notkept_and_rejected)} of ${count(agreement.approve + agreement.reject)}`, "reviews agree with the rule", agreement.kappa === null ? `${plural(agreement.reviewed, "target")} reviewed` : `κ ${number(agreement.kappa)}, ${plural(agreement.reviewed, "target")} reviewed`)
    : figure("–", "reviews agree with the rule", "nobody has reviewed a target yet");
  return h("div", { class: "figures" },
    figure(`${count(run.kept)} of ${count(run.targets)}`, "explanations kept", progress(run)),
    figure(number(run.mean_r?.value), "mean held-out r", run.mean_r ? `95 % ${interval(run.mean_r.low, run.mean_r.high)}` : "no score yet"),
    known(means?.meaning_r) ? figure(number(means.meaning_r), "of the meaning alone", `24 listed tokens ${number(means.list)}, headline alone ${number(means.headline_r)}`) : null,
    Object.keys(tiers ?? {}).length ? figure(`${count(tiers.clear)} of ${count(run.targets)}`, "clear", Object.entries(tiers).filter(([name]) => name !== "clear").map(([name, n]) => `${count(n)} ${name}`).join(", ")) : null,
    people);
}

/** Two small plots of the run, if the server gives points: {target: [], layer: [], r: [], select: [], verdict: []}. */
function overview(points, run) {
  if (!points?.target?.length) return null;
  const all = points.target.map((target, i) => ({ target, layer: points.layer[i], r: points.r[i], select: points.select[i], verdict: points.verdict[i], href: href(path(["runs", run, "targets", target])) })).filter((point) => point.r !== null);
  if (!all.length) return null;
  return h("div", { class: "overview" },
    h("figure", {}, layerPlot(all), h("figcaption", {}, `Held-out r by layer, n = ${count(all.length)}. ● kept ○ inconclusive × rejected; dashed: 0.2, which a lower end has to reach.`)),
    h("figure", {}, dropPlot(all), h("figcaption", {}, "Held-out r over r on select. Below the line: lost on new text.")));
}

function configuration(run) {
  const pairs = [...Object.entries(run.settings ?? {}), ...Object.entries(run.seeds ?? {}).map(([name, seed]) => [`seed ${name}`, seed]), ...Object.entries(run.versions ?? {})];
  return facts(pairs.map(([name, what]) => [t(name), t(typeof what === "object" ? JSON.stringify(what) : what)]), "small");
}

const COLUMNS = [
  { key: "target", name: "target", sort: "position", cls: "address", title: "in the order of the run's configuration" },
  { key: "tier", name: "tier", sort: "tier", cls: "tier-cell", cell: (row) => [tier(row), row.artefact ? artefact(row) : null], parts: true },
  { key: "says", name: "headline", cls: "sentence", cell: says, parts: true },
  { key: "says", name: "explanation", cls: "sentence", cell: says, parts: false },
  { key: "r", name: "held-out r", sort: "r", cls: "num score", cell: (row) => [h("b", {}, number(row.r)), row.low === null ? null : h("span", { class: "unseen" }, ` ${interval(row.low, row.high)}`)] },
  { key: "interval", name: "interval and floors", cls: "picture", cell: (row) => (row.r === null ? null : bar(row.r, row.low, row.high, row.verdict, floorsOf(row))) },
  { key: "headline_r", name: "r@3", sort: "headline_r", cls: "num part-score", title: "held-out r of the headline alone: the three strongest named terms", cell: (row) => number(row.headline_r), parts: true },
  { key: "meaning_r", name: "meaning", sort: "meaning_r", cls: "num part-score", title: "held-out r of the named concepts alone, without the listed tokens", cell: (row) => number(row.meaning_r), parts: true },
  { key: "list", name: "list", sort: "list", cls: "num part-score", title: "floor: held-out r of the 24 best tokens with weights, without any concept", cell: (row) => number(row.list), parts: true },
  { key: "drop", name: "drop", sort: "drop", cls: "num extra", title: "select minus holdout", cell: (row) => number(row.drop), parts: false },
  { key: "p", name: "p", sort: "p", cls: "num extra", cell: (row) => probability(row.p), parts: false },
  { key: "usd", name: "cost", sort: "usd", cls: "num extra", cell: (row) => usd(row.usd) },
  { key: "verdict", name: "verdict", sort: "verdict", cls: "verdict-cell", cell: verdict },
  { key: "review", name: "review", sort: "review", cls: "review-cell", cell: (row) => review(row.review) },
];

/** The columns of a run: older ones record neither tiers nor the parts of an explanation, and a search costs nothing. */
function columns({ run, tiers, means }) {
  const recorded = Object.keys(tiers ?? {}).length > 0 || known(means?.meaning_r);
  return COLUMNS.filter(({ key, parts = recorded }) => parts === recorded && (key !== "usd" || run.calls));
}

/** What a target is about, in short, with the whole sentence on hover; or why there is nothing. */
function says(row) {
  const found = row.headline || row.explanation;
  return h("span", { class: "clip", title: row.explanation ?? "" }, t(found || row.error || row.reason || "", { cls: found ? "" : "soft" }));
}

/** The long table of targets, in the order and with the filters that the URL says. */
class Targets {
  constructor(run, base, about) {
    this.run = run;
    this.base = base;
    this.query = new URLSearchParams();
    this.state = h("div", {});
    this.table = new LongTable({
      columns: columns(about),
      caption: `Targets of ${run}`,
      cls: "targets",
      fetch: (offset, limit) => get(`${base}/targets`, { ...this.listParams(), offset, limit }),
      cells: (row, i) => this.cells(row, i),
      onSort: (key) => change({ ...this.turned(key), row: null }, {}),
      onPlace: (i) => change({ row: i }, { quiet: true }),
    });
  }

  get sort() {
    return { key: this.query.get("sort") ?? SORT.key, dir: this.query.get("dir") ?? SORT.dir };
  }

  turned(key) {
    const { key: now, dir } = this.sort;
    const falling = key === now ? dir !== "desc" : FALLING.includes(key);
    return { sort: key === "position" ? null : key, dir: falling ? "desc" : null };
  }

  listParams() {
    const filterValues = Object.fromEntries(FILTERS.map((name) => [name, this.query.get(name)]));
    return { ...filterValues, q: this.query.get("q"), sort: this.sort.key, dir: this.sort.dir };
  }

  async load(query, keepPlace = false) {
    this.query = new URLSearchParams(query);
    const row = Number(query.get("row") ?? -1);
    if (!keepPlace && query.has("row")) this.table.at = row;
    try {
      const answer = await this.table.load(this.sort, keepPlace || query.has("row"));
      if (!answer) return;
      swap(this.state, answer.total ? [] : empty("No target is like that. ", h("button", { type: "button", on: { click: () => go(here().path) } }, "Clear the filters")));
      if (!keepPlace) say(plural(answer.total, "target"));
      if (query.has("row") && !keepPlace && history.state?.y === 0) this.table.place(row);
    } catch (error) {
      swap(this.state, failed(error, () => this.load(query)));
    }
  }

  /** Where a row leads, and from which place of which list: the target's page walks on from there. */
  link(row, i) {
    const list = new URLSearchParams(this.query);
    list.delete("row");
    return path(["runs", this.run, "targets", row.target], list.size ? { list: String(list), i } : {});
  }

  cells(row, i) {
    const link = h("a", { href: href(this.link(row, i)) }, t(row.target));
    return this.table.options.columns.map(({ cell }) => (cell ? cell(row) : link));
  }

  keys() {
    const at = () => this.table.row(this.table.at);
    const open = () => at() && go(this.link(at(), this.table.at));
    return [
      ["j", "next target", () => this.table.move(1)],
      ["k", "target before", () => this.table.move(-1)],
      ["Enter", "open it", open],
      ...reviewKeys(() => (at() ? { run: this.run, target: at().target, row: at() } : null), () => this.load(here().query, true)),
    ];
  }
}

/** Full-text search over what the table does not show: transcripts and exemplars, with the words marked. */
async function hits(run, base, query) {
  try {
    const answer = await get(`${base}/search`, { q: query.get("q"), in: query.get("in"), limit: 100 });
    const summaryText = answer.reason ?? `${plural(answer.total, "passage")} in ${query.get("in").replaceAll(",", ", ")}${answer.total > answer.hits.length ? `, the first ${answer.hits.length} shown` : ""}`;
    say(summaryText);
    return [h("p", { class: "note" }, summaryText), h("ol", { class: "hits" }, answer.hits.map((hit) => hitItem(run, hit)))];
  } catch (error) {
    return failed(error);
  }
}

function hitItem(run, hit) {
  const inside = { transcript: ["transcript"] }[hit.where] ?? [];
  const to = path(["runs", run, "targets", hit.target, ...inside], { at: typeof hit.turn === "number" ? `turn-${hit.turn}` : hit.id });
  return h("li", {}, h("a", { href: href(to) }, t(hit.target)), h("small", {}, ` ${hit.where}`), h("p", {}, marked(hit.text, hit.marks ?? [])));
}

function marked(text, marks) {
  const parts = [];
  let last = 0;
  for (const [start, end] of marks) {
    parts.push(t(text.slice(last, start)), h("mark", {}, t(text.slice(start, end))));
    last = end;
  }
  return [...parts, t(text.slice(last))];
}

