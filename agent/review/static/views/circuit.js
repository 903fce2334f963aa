/** A circuit: its graph from the input below to the logits above, the threshold with its faithfulness, and each head
 * with its attention over tokens. */

import { REPORT, address, get } from "../api.js";
import { h, swap, t } from "../dom.js";
import { count, interval, number, percent, value3 } from "../format.js";
import { scoreFacts } from "../sections/circuit_facts.js";
import { drawGraph, shownEdges } from "../sections/graph.js";
import { nodePart } from "../sections/node.js";
import { crumbs, section, verdict } from "../parts.js";
import { curvePlot } from "../plots.js";
import { change, href, path } from "../router.js";

export async function circuitView({ run }, query) {
  const circuit = await get(address("runs", run, "circuit"));
  const curve = circuit.curve ?? [];
  const state = { at: place(curve, query.get("share") ?? circuit.chosen_share), node: query.get("node"), all: query.get("all") === "1" };
  const graph = h("div", { class: "graph-box", tabindex: "0", role: "region", "aria-label": "Circuit graph" });
  const readout = h("output", { for: "threshold" });
  const detail = h("div", { class: "node-box" });
  const draw = () => {
    const point = curve[state.at];
    const edges = shownEdges(circuit, point, state.all);
    swap(graph, drawGraph(circuit, edges, state.node, pick));
    swap(readout, sentence(point, edges.length));
    swap(detail, nodePart(circuit, edges, state.node, pick));
  };
  const pick = (id) => {
    state.node = id === state.node ? null : id;
    change({ node: state.node }, { quiet: true });
    draw();
  };
  const slider = h("input", { type: "range", id: "threshold", min: "0", max: String(Math.max(0, curve.length - 1)), value: String(state.at), "aria-label": "Edges kept", "aria-valuetext": "", on: { input: () => {
    state.at = Number(slider.value);
    slider.setAttribute("aria-valuetext", sentence(curve[state.at], curve[state.at]?.edges ?? 0));
    change({ share: curve[state.at]?.share }, { quiet: true });
    draw();
  } } });
  draw();
  const node = h("div", { class: "circuit" },
    crumbs([...(REPORT ? [] : [["Runs", href("/")]]), [run, href(path(["runs", run]))], ["circuit"]]),
    h("div", { class: "line" }, h("h1", {}, "Circuit of ", t(circuit.task)), circuit.verdict ? verdict({ status: "done", verdict: circuit.verdict }) : null), circuit.reason ? h("p", { class: "claim" }, t(circuit.reason)) : null, h("p", { class: "note" }, lead(circuit)),
    h("div", { class: "columns" },
      h("div", { class: "column-main" }, section("graph", "Graph", ["Layers from bottom to top. ", h("span", { class: "pos-ink" }, "Orange"), " edges help the answer, ", h("span", { class: "neg-ink" }, "blue"), " hinder it; wider is more. Choose a node."],
        curve.length ? h("div", { class: "line threshold" }, h("label", { for: "threshold" }, "edges kept"), slider, readout) : null, graph)),
      h("div", { class: "column-side" }, detail, curve.length ? section("faithfulness", "Faithfulness", "Of the circuit of each size, on prompts that discovery never saw; dashed: random circuits of that size.", h("figure", {}, curvePlot(curve, circuit.chosen_share))) : null, scoreFacts(circuit))),
    heads(circuit, pick));
  return { title: `circuit ${circuit.task}`, node, keys: [["[", "fewer edges", () => turn(slider, -1)], ["]", "more edges", () => turn(slider, 1)]] };
}

function turn(slider, by) {
  slider.value = String(Number(slider.value) + by);
  slider.dispatchEvent(new Event("input"));
}

/** The point of the curve that is nearest to a share of the edges. */
function place(curve, share) {
  if (!curve.length) return 0;
  const far = curve.map((point) => Math.abs(Math.log((point.share || 1e-9) / (Number(share) || 1e-9))));
  return far.indexOf(Math.min(...far));
}

function sentence(point, drawn) {
  if (!point) return "";
  const random = typeof point.random_f === "number" ? `, random ${number(point.random_f)}` : "";
  return `${count(point.edges)} edges (${percent(point.share, point.share < 0.01 ? 2 : 1)}), faithfulness ${number(point.f)} [${interval(point.low, point.high)}]${random}; ${count(drawn)} drawn`;
}

function lead(circuit) {
  const prompts = circuit.prompts ? ` Discovered on ${count(circuit.prompts.discovery)} prompts, measured on ${count(circuit.prompts.heldout)} others.` : "";
  return [t(circuit.subject_title ?? circuit.subject ?? ""), circuit.summary ? [", ", t(circuit.summary)] : null, ". ", t(circuit.metric ?? "metric"), `: ${value3(circuit.model_score)} whole, ${value3(circuit.corrupted_score)} corrupted; ablation: `, t(circuit.ablation ?? "–"), `.${prompts}`];
}

/** All heads and MLPs of the circuit as a table, which says in words what the graph shows. */
function heads(circuit, pick) {
  const nodes = (circuit.nodes ?? []).filter((one) => one.in_circuit && ["head", "mlp"].includes(one.kind)).toSorted((x, y) => Math.abs(y.effect?.value ?? 0) - Math.abs(x.effect?.value ?? 0));
  if (!nodes.length) return null;
  const row = (one) => h("tr", {}, h("th", { scope: "row" }, h("button", { type: "button", class: "link", on: { click: () => [pick(one.id), document.querySelector(".node-box").scrollIntoView({ block: "nearest" })] } }, t(one.id))), h("td", {}, one.role ? t(one.role) : "–", one.role_status ? h("small", {}, ` ${one.role_status}`) : null), h("td", { class: "num" }, number(one.effect?.value), h("small", {}, one.effect ? interval(one.effect.low, one.effect.high) : "")), h("td", { class: "sentence" }, t(one.description ?? "")));
  return section("roles", "Nodes and roles", "Strongest first.", h("table", { class: "plain" }, h("caption", { class: "unseen" }, "Nodes of the circuit"), h("thead", {}, h("tr", {}, [["node"], ["role"], ["effect", "num"], ["what it does"]].map(([name, cls]) => h("th", { scope: "col", class: cls ?? null }, name)))), h("tbody", {}, nodes.map(row))));
}
