/** The figures of a study as SVG: lines with bands, heat maps, scatters that can be swept, bars with controls. Each
 * item tells the selection what it is, so that a choice in one figure shows in all. */

import { h, s, visible } from "./dom.js";
import { known, value3 } from "./format.js";
import { line, linear, picture, text, ticks, xAxis, yAxis } from "./plots.js";
import { named } from "./selection.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [52, 14, 12, 38];
/** As wide as the window, so that words stay readable on a narrow one. */
const WIDTH = Math.min(620, Math.max(340, document.documentElement.clientWidth - 40));
const SHAPES = 6;

/** A figure of any kind. */
export function drawStudyFigure(figure, selection) {
  const draw = { lines, "heat map": heatMap, scatter, bars }[figure.kind];
  return draw ? draw(figure, selection) : h("p", { class: "note" }, `A figure of kind ${visible(figure.kind)} needs a newer hubel.`);
}

function range(values, padding = 0.04) {
  const sure = values.filter(known);
  const [low, high] = sure.length ? [Math.min(...sure), Math.max(...sure)] : [0, 1];
  const spare = (high - low || Math.abs(high) || 1) * padding;
  return [low - spare, high + spare];
}

/** Names with the mark that each has, which can be chosen. */
function legend(names, selection, kind) {
  if (names.length < 2) return null;
  const one = ({ name, cls }) => selection.add(h("button", { type: "button", class: `key ${kind} ${cls}`, on: { click: () => selection.pick({ name: [name] }) } }, kind === "point" ? shape(cls) : s("svg", { viewBox: "0 0 22 10", class: "swatch", "aria-hidden": "true" }, line(1, 5, 21, 5, `curve ${cls}`)), visible(name)), { name: [name] });
  return h("div", { class: "keys" }, names.map(one));
}

const colour = (i) => `c${i % SHAPES}`;

// ---------------------------------------------------------------- lines

function lines({ title, x_label: xLabel, y_label: yLabel, lines: all }, selection) {
  const height = 260;
  const bottom = height - BOTTOM;
  const xs = [...new Set(all.flatMap((one) => one.x))].sort((a, b) => a - b);
  const [low, high] = range(all.flatMap((one) => [...one.y, ...one.low, ...one.high]));
  const x = linear(...range(xs, 0.02), LEFT, WIDTH - RIGHT);
  const y = linear(low, high, bottom, TOP);
  const controls = all.filter((one) => one.is_control);
  const classes = all.map((one, i) => (one.is_control ? `control dash${controls.indexOf(one) % 3}` : colour(i)));
  const back = all.map((_, i) => i).sort((a, b) => all[b].is_control - all[a].is_control);
  return h("div", {},
    picture(WIDTH, height, `${title}: ${all.map((one) => one.name).join(", ")}`,
      yAxis(y, ticks(low, high, 6), LEFT, WIDTH - RIGHT, yLabel), xAxis(x, ticks(xs[0] ?? 0, xs.at(-1) ?? 1, 8), bottom, xLabel, WIDTH - RIGHT),
      back.map((i) => [band(all[i], x, y, classes[i]), ...runs(all[i]).map((points) => selection.add(s("polyline", { class: `curve ${classes[i]}`, points: points.map(([a, b]) => `${x(a)},${y(b)}`).join(" ") }), { name: [all[i].name] }))]),
      xs.map((at, i) => step(at, xs[i - 1], xs[i + 1], all, { x, bottom, xLabel }, selection))),
    legend(all.map((one, i) => ({ name: one.name, cls: classes[i] })), selection, "line"));
}

/** Runs of points without a gap. */
function runs({ x, y }) {
  const found = [[]];
  x.forEach((at, i) => (known(y[i]) ? found.at(-1).push([at, y[i]]) : found.push([])));
  return found.filter((points) => points.length);
}

function band({ x: xs, low, high }, x, y, cls) {
  const sure = xs.map((at, i) => [at, low[i], high[i]]).filter(([, a, b]) => known(a) && known(b));
  if (!sure.length) return null;
  const edge = (place) => sure.map((point) => `${x(point[0])},${y(point[place])}`);
  return s("polygon", { class: `ribbon ${cls}`, points: [...edge(2), ...edge(1).reverse()].join(" ") });
}

/** What all lines are at one place of the axis; it can be chosen. */
function step(at, before, after, all, { x, bottom, xLabel }, selection) {
  const [from, to] = [before === undefined ? x(at) - 8 : (x(before) + x(at)) / 2, after === undefined ? x(at) + 8 : (x(after) + x(at)) / 2];
  const values = all.map((one) => [one.name, one.y[one.x.indexOf(at)]]).filter(([, value]) => known(value));
  const tip = `${xLabel} ${value3(at)}: ${values.map(([name, value]) => `${name} ${value3(value)}`).join(", ")}`;
  const fields = { [xLabel]: [String(at)] };
  return selection.add(s("rect", { class: "step", x: from, y: TOP, width: Math.max(1, to - from), height: bottom - TOP, "data-tip": visible(tip), on: { click: () => selection.pick(fields) } }), fields, tip);
}

// ---------------------------------------------------------------- heat map

function heatMap({ title, x_label: xLabel, y_label: yLabel, columns, rows, values, centre }, selection) {
  const left = Math.min(162, Math.max(LEFT, 28 + 6.4 * Math.max(...rows.map((name) => name.length)))); // the axis label is left of the names
  const cell = Math.min(44, (WIDTH - left - RIGHT) / columns.length);
  const tall = Math.max(7, Math.min(20, 420 / rows.length));
  const bottom = TOP + tall * rows.length;
  const all = values.flat().filter(known);
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const reach = known(centre) ? Math.max(high - centre, centre - low) || 1 : high - low || 1;
  const shade = (value) => (known(centre) ? Math.abs(value - centre) / reach : (value - low) / reach);
  const words = (names) => names.some((name) => !/^-?\d+(\.\d+)?$/.test(name));
  const one = (value, r, c) => {
    const fields = { [xLabel]: [columns[c]], [yLabel]: [rows[r]], ...(words(rows) || words(columns) ? { name: [rows[r], columns[c]] } : {}) };
    const tip = `${yLabel} ${rows[r]}, ${xLabel} ${columns[c]}: ${value3(value)}`;
    const sign = !known(value) ? "none" : known(centre) && value < centre ? "neg" : "pos";
    return selection.add(s("rect", { class: `tile ${sign}`, x: left + c * cell, y: TOP + r * tall, width: cell, height: tall, "fill-opacity": known(value) ? (0.06 + 0.94 * shade(value)).toFixed(3) : null, "data-tip": visible(tip), on: { click: () => selection.pick({ [yLabel]: [rows[r]], [xLabel]: [columns[c]] }) } }), fields, tip);
  };
  const every = (n, size, room) => Math.ceil((n * room) / Math.max(1, n * size));
  const [stepX, stepY] = [every(columns.length, cell, 7 * Math.max(...columns.map((name) => Math.min(9, name.length))) + 6), every(rows.length, tall, 12)];
  return h("div", {},
    picture(WIDTH, bottom + BOTTOM, `${title}: ${rows.length} by ${columns.length}, from ${value3(low)} to ${value3(high)}`,
      values.map((row, r) => row.map((value, c) => one(value, r, c))),
      rows.map((name, r) => (r % stepY ? null : text(left - 6, TOP + tall * (r + 0.5) + 4, short(name, 20), "tick end"))),
      columns.map((name, c) => (c % stepX ? null : text(left + cell * (c + 0.5), bottom + 14, short(name, 9), "tick mid"))),
      text(left + cell * columns.length, bottom + 31, xLabel, "axis end"), s("text", { class: "axis end", transform: `translate(11 ${TOP}) rotate(-90)` }, yLabel)),
    h("p", { class: "scale" }, value3(low), h("span", { class: known(centre) ? "ramp both" : "ramp", "aria-hidden": "true" }), value3(high), known(centre) ? ` (clear: ${value3(centre)})` : ""));
}

const short = (name, length) => visible(name.length > length ? `${name.slice(0, length - 1)}…` : name);

// ---------------------------------------------------------------- scatter

function scatter({ name, title, x_label: xLabel, y_label: yLabel, x: xs, y: ys, texts, groups }, selection) {
  const height = 380;
  const bottom = height - BOTTOM;
  const [xEnds, yEnds] = [range(xs), range(ys)];
  const [x, y] = [linear(...xEnds, LEFT, WIDTH - RIGHT), linear(...yEnds, bottom, TOP)];
  const kinds = [...new Set(groups)];
  const cls = groups.map((group) => colour(kinds.indexOf(group)));
  selection.points.set(name, texts.map((one, i) => ({ x: xs[i], y: ys[i], name: one })));
  const swept = s("rect", { class: "swept", visibility: "hidden" });
  const points = texts.map((one, i) => {
    const tip = `${one}${groups.length ? ` (${groups[i]})` : ""}: ${xLabel} ${value3(xs[i])}, ${yLabel} ${value3(ys[i])}`;
    const fields = named(one);
    const node = point(x(xs[i]), y(ys[i]), cls[i] ?? "c0", visible(tip));
    node.addEventListener("click", () => selection.pick(fields));
    return selection.add(node, { ...fields, name: groups.length ? [one, groups[i]] : [one] }, tip);
  });
  const drawn = picture(WIDTH, height, `${title}: ${texts.length} points`,
    yAxis(y, ticks(...yEnds, 6), LEFT, WIDTH - RIGHT, yLabel), xAxis(x, ticks(...xEnds, 7), bottom, xLabel, WIDTH - RIGHT), swept, points);
  sweepable(drawn, swept, (box) => selection.sweep(box && { figure: name, x0: back(box.x0, LEFT, WIDTH - RIGHT, xEnds), x1: back(box.x1, LEFT, WIDTH - RIGHT, xEnds), y0: back(box.y1, bottom, TOP, yEnds), y1: back(box.y0, bottom, TOP, yEnds) }));
  const show = () => {
    const brush = selection.brush?.figure === name ? selection.brush : null;
    place(swept, brush && { x0: x(brush.x0), x1: x(brush.x1), y0: y(brush.y1), y1: y(brush.y0) });
  };
  const node = h("div", { class: "scatter" }, drawn, legend(kinds.map((group, i) => ({ name: group, cls: colour(i) })), selection, "point"));
  node.addEventListener("selection", show);
  return node;
}

const back = (place, start, end, [low, high]) => low + ((high - low) * (place - start)) / (end - start);

function place(rect, box) {
  rect.setAttribute("visibility", box ? "visible" : "hidden");
  if (box) for (const [key, value] of Object.entries({ x: box.x0, y: box.y0, width: box.x1 - box.x0, height: box.y1 - box.y0 })) rect.setAttribute(key, Math.max(0, value));
}

/** Calls `done(box)` with the rectangle that a pointer drew, in the units of the picture; null for none. */
function sweepable(drawn, rect, done) {
  let from = null;
  let box = null;
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(drawn.getScreenCTM().inverse());
  drawn.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return; // a finger scrolls
    from = at(event);
    box = null;
  });
  drawn.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    if (!box && Math.hypot(to.x - from.x, to.y - from.y) < 4) return;
    if (!box) drawn.setPointerCapture(event.pointerId);
    box = { x0: Math.min(from.x, to.x), x1: Math.max(from.x, to.x), y0: Math.min(from.y, to.y), y1: Math.max(from.y, to.y) };
    place(rect, box);
  });
  drawn.addEventListener("pointerup", () => {
    if (box) done(box);
    from = null;
    box = null;
  });
}

/** A point whose form, and not only its colour, says its group. */
function point(x, y, cls, tip) {
  const paths = { c1: `M${x - 4} ${y - 4}h8v8h-8z`, c2: `M${x} ${y - 5}l5 9h-10z`, c3: `M${x} ${y - 5.4}l5.4 5.4l-5.4 5.4l-5.4 -5.4z`, c4: `M${x} ${y + 5}l5 -9h-10z`, c5: `M${x - 5} ${y - 1.6}h10v3.2h-10z` };
  const props = { class: `point ${cls}`, "data-tip": tip };
  return paths[cls] ? s("path", { ...props, d: paths[cls] }) : s("circle", { ...props, cx: x, cy: y, r: 4 });
}

const shape = (cls) => s("svg", { viewBox: "0 0 14 14", class: "swatch square", "aria-hidden": "true" }, point(7, 7, cls, null));

// ---------------------------------------------------------------- bars

function bars({ title, value_label: label, names, values, low, high, control }, selection) {
  const left = Math.min(230, 16 + 6.6 * Math.max(...names.map((name) => name.length), 4));
  const pitch = 22;
  const bottom = TOP + pitch * names.length;
  const [from, to] = range([0, ...values, ...low, ...high, ...control], 0);
  const x = linear(from, to + (to - from) * 0.03, left, WIDTH - RIGHT);
  return picture(WIDTH, bottom + BOTTOM, `${title}: ${names.length} bars`,
    ticks(from, to).map((v) => line(x(v), TOP, x(v), bottom, v === 0 ? "zero" : "grid")),
    names.map((name, i) => {
      const y = TOP + pitch * (i + 0.5);
      const range95 = known(low[i]) && known(high[i]) ? [low[i], high[i]] : null;
      const tip = `${name}: ${value3(values[i])}${range95 ? `, ${value3(range95[0])} to ${value3(range95[1])}` : ""}${known(control[i]) ? `, control ${value3(control[i])}` : ""}`;
      const fields = named(name);
      const parts = [
        s("rect", { class: "hit", x: 0, y: y - pitch / 2, width: WIDTH, height: pitch }),
        text(left - 8, y + 4, short(name, 32), "label end"),
        known(values[i]) ? s("rect", { class: "value", x: Math.min(x(0), x(values[i])), y: y - 6, width: Math.abs(x(values[i]) - x(0)), height: 12 }) : null,
        range95 ? line(x(range95[0]), y, x(range95[1]), y, "whisker") : null,
        known(control[i]) ? line(x(control[i]), y - 9, x(control[i]), y + 9, "control") : null,
      ];
      return selection.add(s("g", { class: "bar", "data-tip": visible(tip), on: { click: () => selection.pick(fields) } }, parts), fields, tip);
    }),
    xAxis(x, ticks(from, to), bottom, label, WIDTH - RIGHT));
}
