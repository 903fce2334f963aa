/** Two runs on the same targets, side by side, with paired tests. */

import { get } from "../api.js";
import { h, swap, t } from "../dom.js";
import { count, interval, number, probability } from "../format.js";
import { crumbs, empty, failed, field, verdict } from "../parts.js";
import { bar } from "../plots.js";
import { change, go, href, path } from "../router.js";
import { LongTable } from "../table.js";

export async function compareView(_, query) {
  const { runs } = await get("/api/runs");
  const box = h("div", {});
  const table = new Both();
  const update = async (params) => {
    const [a, b] = [params.get("a"), params.get("b")];
    if (!a || !b) return swap(box, empty("Choose two runs. Only targets that both have are compared."));
    try {
      await table.load(params, box);
    } catch (error) {
      swap(box, failed(error));
    }
    return undefined;
  };
  const node = h("div", {}, crumbs([["Runs", href("/")], ["compare"]]), h("h1", {}, "Compare two runs"), choose(runs, query), box);
  return { title: "Compare", node, update, start: () => update(query), keys: [["j", "next target", () => table.long?.move(1)], ["k", "target before", () => table.long?.move(-1)]], dispose: () => table.long?.dispose() };
}

function choose(runs, query) {
  const names = runs.filter((run) => run.kind !== "circuit").map((run) => run.name);
  const select = (name) => h("select", { name }, h("option", { value: "" }, "–"), names.map((run) => h("option", { value: run, selected: run === query.get(name) }, run)));
  const [a, b] = [select("a"), select("b")];
  const sent = (event) => {
    event.preventDefault();
    go(path(["compare"], { a: a.value, b: b.value }));
  };
  return h("form", { class: "line choose", on: { submit: sent } }, field("Run A", a), field("Run B", b), h("button", { class: "main" }, "Compare"));
}

const COLUMNS = [
  { key: "target", name: "target", sort: "target", cls: "address" },
  { key: "a", name: "A", cls: "sentence" },
  { key: "ra", name: "r of A", sort: "a", cls: "judged" },
  { key: "b", name: "B", cls: "sentence" },
  { key: "rb", name: "r of B", sort: "b", cls: "judged" },
  { key: "difference", name: "B − A", sort: "difference", cls: "num" },
];

class Both {
  async load(query, box) {
    this.query = query;
    this.long?.dispose();
    const [a, b] = [query.get("a"), query.get("b")];
    const sort = { key: query.get("sort") ?? "target", dir: query.get("dir") ?? "asc" };
    const fetchRows = (offset, limit) => get("/api/compare", { a, b, sort: query.get("sort"), dir: query.get("dir"), offset, limit });
    this.long = new LongTable({
      columns: COLUMNS, caption: `${a} and ${b} on the same targets`, cls: "both",
      fetch: async (offset, limit) => withTotal(await fetchRows(offset, limit)),
      cells: (row) => cells(row, a, b),
      onSort: (key) => change({ sort: key, dir: sort.key === key && sort.dir !== "desc" ? "desc" : null }),
    });
    const answer = await fetchRows(0, 1);
    swap(box, answer.common ? [summary(answer, a, b), this.long.node] : empty("These runs have no target in common."));
    if (answer.common) await this.long.load(sort);
  }
}

const withTotal = (answer) => ({ ...answer, total: answer.total ?? answer.common });

function summary({ common, paired, verdicts }, a, b) {
  const figure = (big, name, small) => h("div", {}, h("b", {}, big), h("span", {}, name), h("small", {}, small));
  const matrix = verdicts ? figure(`${count(verdicts.only_a)} : ${count(verdicts.only_b)}`, "kept by A only : by B only", `${count(verdicts.both)} by both, ${count(verdicts.neither)} by neither; McNemar p ${probability(verdicts.p)}`) : null;
  return [h("p", { class: "note" }, "A is ", t(a), ", B is ", t(b), "."), h("div", { class: "figures" },
    figure(count(common), "targets in common", ""),
    paired ? figure(`${paired.mean_difference > 0 ? "+" : ""}${number(paired.mean_difference, 3)}`, "mean held-out r, B minus A", `95 % ${interval(paired.low, paired.high, 3)}; p ${probability(paired.p)}, ${paired.test ?? "paired"}`) : null,
    matrix)];
}

function cells(row, a, b) {
  const side = (run, side) => [h("a", { class: "clip", href: href(path(["runs", run, "targets", row.target])), title: side?.explanation ?? "" }, t(side?.explanation ?? "–"))];
  const score = (side) => (side ? [h("b", { class: "num" }, number(side.r)), bar(side.r, side.low, side.high, side.verdict), verdict({ status: "done", verdict: side.verdict })] : "–");
  const size = row.difference === null ? "" : row.difference > 0 ? "pos-ink" : "neg-ink";
  return [h("a", { href: href(path(["runs", a, "targets", row.target])) }, t(row.target)), side(a, row.a), score(row.a), side(b, row.b), score(row.b), h("b", { class: size }, number(row.difference))];
}
