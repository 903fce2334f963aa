/** The drawing of a circuit: a row of nodes a layer, the input below, the logits above, edges between them as curves
 * whose width is their weight and whose colour is their sign. */

import { s, visible } from "../dom.js";
import { signed } from "../format.js";

const PITCH = 46;
const MOST = 400; // edges drawn: more is a cloud, and slow

/** The node of an edge's end: "head.8.1<q>" -> "head.8.1". */
export const nodeOf = (end) => end.replace(/<.*>$/, "");

/** The edges of a circuit of a size: the strongest, those of the circuit first. */
export function shownEdges(circuit, point, all) {
  const ranked = (circuit.edges ?? []).toSorted((a, b) => strength(b) - strength(a));
  const chosen = point && point.share === circuit.chosen_share ? ranked.filter((edge) => edge.in_circuit) : ranked.slice(0, point?.edges ?? ranked.length);
  return (all ? ranked : chosen).slice(0, MOST);
}

const strength = (edge) => Math.abs(edge.exact ?? edge.weight);

/** @param pick called with a node's id */
export function drawGraph(circuit, edges, chosen, pick) {
  const used = new Set(edges.flatMap((edge) => [nodeOf(edge.source), nodeOf(edge.target)]));
  const nodes = (circuit.nodes ?? []).filter((node) => used.has(node.id) || node.kind === "input" || node.kind === "logits");
  const rows = layered(nodes);
  const width = 640;
  const height = PITCH * rows.length + 16;
  const places = new Map(rows.flatMap(({ nodes: row }, i) => row.map((node, n) => [node.id, { x: 46 + ((width - 60) * (n + 0.5)) / row.length, y: height - 8 - PITCH * (i + 0.5) }])));
  const most = Math.max(1e-12, ...edges.map(strength));
  const beside = chosen ? new Set(edges.filter((edge) => [nodeOf(edge.source), nodeOf(edge.target)].includes(chosen)).flatMap((edge) => [nodeOf(edge.source), nodeOf(edge.target)])) : null;
  return s("svg", { class: "plot graph", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Graph of ${nodes.length} nodes and ${edges.length} edges` },
    rows.map(({ name }, i) => s("text", { class: "tick", x: 2, y: height - 4 - PITCH * (i + 0.5) }, name)),
    edges.toReversed().map((edge) => edgeOf(edge, places, most, chosen)),
    nodes.filter((node) => places.has(node.id)).map((node) => nodeMark(node, places.get(node.id), node.id === chosen, beside && !beside.has(node.id), pick)));
}

/** Rows from the input to the logits: of a layer the heads first, then its MLP in a row of its own. */
function layered(nodes) {
  const rank = (node) => ({ input: -1, logits: 1e6 })[node.kind] ?? 2 * node.layer + (node.kind === "mlp" ? 1 : 0);
  const ranks = [...new Set(nodes.map(rank))].sort((a, b) => a - b);
  return ranks.map((r) => ({ name: r < 0 || r >= 1e6 ? "" : r % 2 ? "" : `L${r / 2}`, nodes: nodes.filter((node) => rank(node) === r).toSorted((a, b) => a.id.localeCompare(b.id, "en", { numeric: true })) })).map((row) => (row.name || !row.nodes[0] || row.nodes[0].kind !== "mlp" ? row : { ...row, name: `L${row.nodes[0].layer}` }));
}

function edgeOf(edge, places, most, chosen) {
  const [from, to] = [places.get(nodeOf(edge.source)), places.get(nodeOf(edge.target))];
  if (!from || !to) return null;
  const weight = edge.exact ?? edge.weight;
  const share = Math.abs(weight) / most;
  const beside = !chosen || [nodeOf(edge.source), nodeOf(edge.target)].includes(chosen);
  const bend = Math.max(18, (from.y - to.y) * 0.45);
  const tip = `${visible(edge.source)} → ${visible(edge.target)}: ${signed(weight)}${edge.exact === null || edge.exact === undefined ? " (estimate)" : ""}`;
  return s("path", { class: `edge ${weight < 0 ? "neg" : "pos"}${beside ? "" : " dim"}`, d: `M${from.x} ${from.y - 9}C${from.x} ${from.y - bend} ${to.x} ${to.y + bend} ${to.x} ${to.y + 9}`, "stroke-width": (0.6 + 5 * Math.sqrt(share)).toFixed(2), "stroke-opacity": (0.25 + 0.65 * Math.sqrt(share)).toFixed(2), "data-tip": tip });
}

function nodeMark(node, { x, y }, isChosen, dim, pick) {
  const name = { input: "input", logits: "logits" }[node.kind] ?? (node.kind === "head" ? node.id.replace("head.", "") : `mlp ${node.layer}`);
  const width = Math.max(30, 7 * name.length + 10);
  const heard = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    pick(node.id);
  };
  const label = `${visible(node.id)}${node.role ? `, ${visible(node.role)}` : ""}`;
  return s("g", { class: `node ${node.kind}${node.role ? " roled" : ""}${isChosen ? " chosen" : ""}${dim ? " dim" : ""}`, tabindex: "0", role: "button", "aria-pressed": String(isChosen), "aria-label": label, "data-tip": label, "data-node": node.id, on: { click: heard, keydown: heard } },
    s("rect", { x: x - width / 2, y: y - 10, width, height: 20, rx: node.kind === "head" ? 10 : 3 }),
    s("text", { x, y: y + 4, class: "mid" }, visible(name)));
}
