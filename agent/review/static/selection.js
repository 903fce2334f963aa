/** What the reader has chosen on the page of a study. One choice holds in every figure and in the table: an item says
 * what it is by fields, such as {layer: ["3"], head: ["5"]}, and is on if it agrees with the choice in every field that
 * both have. The choice is in the address: `pick=layer:3,head:5`, and `brush=FIGURE:x0:x1:y0:y1` for part of a scatter. */

const UNIT = /^(mlp|head)\.(\d+)\.(\d+)[+-]?$/;

/** The fields of a thing that has a name; the address of a unit says its layer too. */
export function named(...names) {
  const known = names.filter((name) => name !== null && name !== undefined && name !== "").map(String);
  const unit = known.map((name) => name.match(UNIT)).find(Boolean);
  return { name: known, ...(unit ? { layer: [unit[2]], [unit[1] === "mlp" ? "neuron" : "head"]: [unit[3]] } : {}) };
}

export class Selection {
  constructor(changed) {
    this.changed = changed;
    this.fields = {};
    this.brush = null;
    this.points = new Map();
    this.items = [];
  }

  /** An element that is on or off by what it is. */
  add(node, fields, tip) {
    this.items.push({ node, fields, tip });
    return node;
  }

  get empty() {
    return !this.brush && !Object.keys(this.fields).length;
  }

  /** Chooses these fields, or nothing if they are chosen already. */
  pick(fields) {
    const same = JSON.stringify(fields) === JSON.stringify(this.fields);
    this.fields = same ? {} : fields;
    this.brush = null;
    this.changed();
  }

  /** Chooses the points of a scatter within a rectangle of its axes; null for nothing. */
  sweep(brush) {
    this.fields = {};
    this.brush = brush;
    this.changed();
  }

  /** The fields that hold now: of a brush, those of the points within it. */
  chosen() {
    if (!this.brush) return this.fields;
    const { figure, x0, x1, y0, y1 } = this.brush;
    const within = (this.points.get(figure) ?? []).filter(({ x, y }) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
    return { name: within.map((point) => point.name) };
  }

  /** Marks every item as on, off or neither. */
  apply() {
    const chosen = Object.entries(this.chosen()).map(([field, values]) => [field, new Set(values)]);
    let on = 0;
    for (const { node, fields } of this.items) {
      const shared = this.empty ? [] : chosen.filter(([field]) => fields[field]?.length);
      const agrees = shared.length > 0 && shared.every(([field, values]) => fields[field].some((value) => values.has(value)));
      node.classList.toggle("on", agrees);
      node.classList.toggle("off", shared.length > 0 && !agrees);
      on += agrees ? 1 : 0;
    }
    return on;
  }

  /** The choice in words. */
  words() {
    if (this.brush) return `${this.chosen().name.length} points`;
    const { name, ...places } = this.fields;
    if (name?.length) return name.join(", ");
    return Object.entries(places).map(([field, values]) => `${field} ${values.join(", ")}`).join(", ");
  }

  toQuery() {
    const pick = Object.entries(this.fields).flatMap(([field, values]) => values.map((value) => `${encodeURIComponent(field)}:${encodeURIComponent(value)}`)).join(",");
    const { figure, x0, x1, y0, y1 } = this.brush ?? {};
    return { pick, brush: this.brush ? [encodeURIComponent(figure), ...[x0, x1, y0, y1].map((v) => Number(v.toPrecision(4)))].join(":") : null };
  }

  fromQuery(query) {
    this.fields = {};
    for (const part of (query.get("pick") ?? "").split(",").filter((one) => one.includes(":"))) {
      const [field, value] = part.split(":").map(safely);
      this.fields[field] = [...(this.fields[field] ?? []), value];
    }
    const [figure, ...ends] = (query.get("brush") ?? "").split(":");
    const [x0, x1, y0, y1] = ends.map(Number);
    this.brush = ends.length === 4 && ends.every((end) => Number.isFinite(Number(end))) ? { figure: safely(figure), x0, x1, y0, y1 } : null;
  }
}

function safely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
