/** The drawing of a circuit: one row of nodes for each layer, the input below, the logits above, and the edges as
 * curves whose width is their weight and whose colour is their sign. */

import { s, visible } from "../dom.js";
import { signed } from "../format.js";

const PITCH = 40;
const LEFT = 40;
const WIDEST = 640;
const [NARROWEST, BESIDE] = [42, 56]; // width of a column: of a head with its gap, and where MLPs are side by side too
const MOST = 400; // edges drawn: more is a cloud, and slow

/** The node of an edge's end: "head.8.1<q>" -> "head.8.1". */
export const nodeOf = (end) => end.replace(/<.*>$/, "");

/** The effect of an edge on the answer: the opposite of the effect of patching it with the corrupted run. */
export const helps = (edge) => -(edge.exact ?? edge.weight);

/** An edge into the keys or values of a key-value head is drawn to each query head of the circuit that reads them. */
function intoQueryHeads(circuit) {
  const group = (circuit.graph?.n_heads ?? 1) / (circuit.graph?.n_kv_heads ?? circuit.graph?.n_heads ?? 1);
  const present = new Set((circuit.nodes ?? []).map((node) => node.id));
  return (circuit.edges ?? []).flatMap((edge) => {
    const match = group > 1 && /^head\.(\d+)\.(\d+)<([kv])>$/.exec(edge.target);
    if (!match) return [edge];
    const heads = Array.from({ length: group }, (_, i) => `head.${match[1]}.${Number(match[2]) * group + i}`);
    return heads.filter((head) => present.has(head)).map((head) => ({ ...edge, target: `${head}<${match[3]}>` }));
  });
}

/** The edges of a circuit of a size: the strongest, those of the circuit first. */
export function shownEdges(circuit, point, all) {
  const ranked = intoQueryHeads(circuit).toSorted((a, b) => strength(b) - strength(a));
  const chosen = point && point.share === circuit.chosen_share ? ranked.filter((edge) => edge.in_circuit) : ranked.slice(0, point?.edges ?? ranked.length);
  return (all ? ranked : chosen).slice(0, MOST);
}

const strength = (edge) => Math.abs(helps(edge));

/** @param pick called with a node's id */
export function drawGraph(circuit, edges, chosen, pick) {
  const used = new Set(edges.flatMap((edge) => [nodeOf(edge.source), nodeOf(edge.target)]));
  const nodes = (circuit.nodes ?? []).filter((node) => used.has(node.id) || node.kind === "input" || node.kind === "logits");
  const width = Math.min(WIDEST, document.documentElement.clientWidth - 40); // drawn for the window, not shrunk into it
  const { places, rows, height } = placed(nodes, width);
  const most = Math.max(1e-12, ...edges.map(strength));
  const beside = chosen ? new Set(edges.filter((edge) => [nodeOf(edge.source), nodeOf(edge.target)].includes(chosen)).flatMap((edge) => [nodeOf(edge.source), nodeOf(edge.target)])) : null;
  return s("svg", { class: "plot graph", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Graph of ${nodes.length} nodes and ${edges.length} edges` },
    rows.map(({ name, y }) => [s("line", { class: "grid", x1: LEFT - 6, x2: width, y1: y, y2: y }), s("text", { class: "tick", x: 2, y: y + 4 }, name)]),
    edges.toReversed().map((edge) => edgeOf(edge, places, most, chosen)),
    nodes.filter((node) => places.has(node.id)).map((node) => nodeMark(node, places.get(node.id), node.id === chosen, beside && !beside.has(node.id), pick)));
}

/** The position of each node: one row for each layer. Where there is room, one column for each head, so that a head is
 * always at the same place, and a column of MLPs, a little above the heads that they read; else side by side. */
function placed(nodes, width) {
  const inside = nodes.filter((node) => node.kind === "head" || node.kind === "mlp");
  const heads = [...new Set(nodes.filter((node) => node.kind === "head").map(headOf))].sort((a, b) => a - b);
  const aligned = heads.length + 1 <= (width - LEFT) / NARROWEST;
  const room = Math.max(1, Math.floor((width - LEFT) / BESIDE));
  const columns = aligned ? heads.length + 1 : room;
  const layers = [...new Set(inside.map((node) => node.layer))].sort((a, b) => a - b);
  const lines = layers.flatMap((layer) => (aligned ? [inside.filter((node) => node.layer === layer)] : chunks(inside.filter((node) => node.layer === layer), room)));
  const height = PITCH * (lines.length + 2);
  const x = (column) => LEFT + ((width - LEFT) * (column + 0.5)) / columns;
  const y = (line) => height - PITCH * (line + 1.5);
  const at = (node, i, line) => {
    if (!aligned) return { x: x(i), y: y(line) };
    return node.kind === "head" ? { x: x(heads.indexOf(headOf(node))), y: y(line) } : { x: x(columns - 1), y: y(line) - PITCH * 0.3 };
  };
  const places = new Map(lines.flatMap((some, line) => some.map((node, i) => [node.id, at(node, i, line)])));
  for (const [id, y] of [["input", height - PITCH / 2], ["logits", PITCH / 2]]) places.set(id, { x: (LEFT + width) / 2, y });
  return { places, rows: lines.map((some, line) => ({ name: `L${some[0].layer}`, y: y(line) })), height };
}

/** The nodes of a layer in lines that fit, heads by their number and the MLP last. */
function chunks(nodes, room) {
  const ordered = nodes.toSorted((a, b) => (a.kind === "mlp") - (b.kind === "mlp") || headOf(a) - headOf(b));
  return Array.from({ length: Math.ceil(ordered.length / room) }, (_, i) => ordered.slice(i * room, (i + 1) * room));
}

const headOf = (node) => Number(node.id.split(".")[2]);

function edgeOf(edge, places, most, chosen) {
  const [from, to] = [places.get(nodeOf(edge.source)), places.get(nodeOf(edge.target))];
  if (!from || !to) return null;
  const weight = helps(edge);
  const share = Math.abs(weight) / most;
  const beside = !chosen || [nodeOf(edge.source), nodeOf(edge.target)].includes(chosen);
  const bend = Math.max(16, (from.y - to.y) * 0.4);
  const tip = `${visible(edge.source)} → ${visible(edge.target)}: ${weight < 0 ? "hinders" : "helps"} by ${signed(Math.abs(weight)).slice(1)}${edge.exact === null || edge.exact === undefined ? " (estimate)" : ""}`;
  return s("path", { class: `edge ${weight < 0 ? "neg" : "pos"}${beside ? "" : " dim"}`, d: `M${from.x} ${from.y - 9}C${from.x} ${from.y - 9 - bend} ${to.x} ${to.y + 9 + bend} ${to.x} ${to.y + 9}`, "stroke-width": (0.6 + 5 * Math.sqrt(share)).toFixed(2), "stroke-opacity": (0.25 + 0.65 * Math.sqrt(share)).toFixed(2), "data-tip": tip });
}

function nodeMark(node, { x, y }, isChosen, dim, pick) {
  const name = { input: "input", logits: "logits" }[node.kind] ?? (node.kind === "head" ? node.id.replace("head.", "") : `mlp ${node.layer}`);
  const width = Math.max(30, 7 * name.length + 10);
  const activate = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    pick(node.id);
  };
  const label = `${visible(node.id)}${node.role ? `, ${visible(node.role)}` : ""}`;
  return s("g", { class: `node ${node.kind}${node.role ? " roled" : ""}${isChosen ? " chosen" : ""}${dim ? " dim" : ""}`, tabindex: "0", role: "button", "aria-pressed": String(isChosen), "aria-label": label, "data-tip": label, "data-node": node.id, on: { click: activate, keydown: activate } },
    s("rect", { x: x - width / 2, y: y - 10, width, height: 20, rx: node.kind === "head" ? 10 : 3 }),
    s("text", { x, y: y + 4, class: "mid" }, visible(name)));
}
