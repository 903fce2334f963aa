/** One node of a circuit: its role with the predictions that tested it, what it writes, and where a head attends. */

import { h, s, swap, t, visible } from "../dom.js";
import { interval, number, percent, signed } from "../format.js";
import { shade } from "../heat.js";
import { empty, facts, grid, section } from "../parts.js";
import { words } from "./effects.js";
import { nodeOf } from "./graph.js";

export function nodePart(circuit, edges, id, pick) {
  const node = (circuit.nodes ?? []).find((one) => one.id === id);
  if (!node) return section("node", "Node", null, empty("Choose a node in the graph or in the list below to see its role, its edges and where it attends."));
  return section("node", t(node.id), null,
    node.role ? h("p", {}, h("b", {}, t(node.role)), node.role_status ? h("span", { class: `badge ${node.role_status}` }, node.role_status === "kept" ? "predictions held" : "predictions failed") : null) : null,
    node.description ? h("p", { class: "sentence" }, t(node.description)) : null,
    facts([node.effect ? ["effect on the metric", `${number(node.effect.value)} [${interval(node.effect.low, node.effect.high)}]`] : null, node.direct ? ["adds by itself", `${number(node.direct.value)} [${interval(node.direct.low, node.direct.high)}]`] : null, typeof node.copies === "number" ? ["copying score", number(node.copies)] : null, typeof node.placebo === "number" ? ["others on which the same predictions hold", percent(node.placebo)] : null, ...(node.looks_at ?? []).map((one) => [["looks at ", t(one.what)], number(one.attention)])], "small"),
    predictions(node.predictions), node.attention ? attention(node.attention) : null,
    node.writes?.length ? words("writes", node.writes) : null, edgesOf(edges, id, pick));
}

function predictions(list) {
  if (!list?.length) return null;
  const rows = list.map((one) => [t(one.text), `${t2(one.quantity)} ${bounds(one.expected ?? [])}`, `${number(one.observed)} [${interval(one.low, one.high)}]`, h("b", { class: one.outcome === "for" ? "for" : one.outcome === "against" ? "against" : "void" }, t(one.outcome))]);
  return grid("Predictions of the role", [["claim", "text"], ["prediction", ""], ["observed", "num"], ["outcome", ""]], rows);
}

function bounds([low, high]) {
  if (typeof low === "number" && typeof high === "number") return `within ${interval(low, high)}`;
  return typeof low === "number" ? `at least ${number(low)}` : `at most ${number(high)}`;
}

const t2 = (text) => visible(text ?? "").replaceAll("_", " ");

function edgesOf(edges, id, pick) {
  const ownEdges = edges.filter((edge) => nodeOf(edge.source) === id || nodeOf(edge.target) === id).slice(0, 12);
  if (!ownEdges.length) return null;
  const end = (name) => (nodeOf(name) === id ? t(name) : h("button", { type: "button", class: "link", on: { click: () => pick(nodeOf(name)) } }, t(name)));
  return grid("Edges of the node, the strongest", [["from", ""], ["to", ""], ["helps by (estimate)", "num"], ["exact", "num"]], ownEdges.map((edge) => [end(edge.source), end(edge.target), signed(-edge.weight), typeof edge.exact === "number" ? signed(-edge.exact) : "–"]));
}

/** A head's attention pattern: rows attend to columns; the chosen row is shown below as a token map. */
function attention({ prompt_tokens: tokens, pattern }) {
  const n = tokens.length;
  const size = Math.max(7, Math.min(18, 300 / n));
  const left = 96;
  const row = h("div", { class: "attended" });
  const show = (i) => swap(row, h("p", { class: "soft" }, "from ", h("code", {}, t(tokens[i])), " (", String(i), ") to"), h("p", { class: "heat" }, tokens.slice(0, i + 1).map((token, j) => h("i", { class: attentionShade(pattern[i][j]), "data-tip": number(pattern[i][j], 3) }, t(token)))));
  const cells = pattern.flatMap((weights, i) => weights.slice(0, i + 1).map((weight, j) => s("rect", { class: "cell", x: left + j * size, y: i * size, width: size - 0.5, height: size - 0.5, "fill-opacity": Math.min(1, weight).toFixed(3), "data-tip": `${visible(tokens[i])} → ${visible(tokens[j])}: ${number(weight, 3)}`, on: { click: () => choose(i) } })));
  const names = tokens.map((token, i) => s("text", { class: "tick end", x: left - 5, y: i * size + size * 0.75, "font-size": Math.min(11, size) }, visible(token).trim().slice(0, 12) || "␣"));
  const rows = h("input", { type: "range", min: "0", max: String(n - 1), value: String(n - 1), "aria-label": "Token that attends", on: { input: () => show(Number(rows.value)) } });
  const choose = (i) => {
    rows.value = String(i);
    show(i);
  };
  show(n - 1);
  return h("figure", {}, s("svg", { class: "plot attention", style: { "max-width": `${left + n * size}px` }, viewBox: `0 0 ${left + n * size} ${n * size + 2}`, role: "img", "aria-label": `Attention pattern over ${n} tokens` }, names, cells), h("label", { class: "line" }, "token", rows), row, h("figcaption", {}, "Attention: each row is a token, dark where it attends."));
}

const attentionShade = (weight) => shade(weight > 0.02 ? Math.max(1, Math.min(8, Math.round(8 * Math.sqrt(weight)))) : 0);
