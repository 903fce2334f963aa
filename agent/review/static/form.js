/** A form made out of a JSON schema: an input for each property, with its description; what is nested or unusual is
 * written as JSON. */

import { h, t } from "./dom.js";

/** @param values initial values
 * @returns {{node: Node, read: function}} `read()` gives the arguments, or throws an Error that says which is wrong. */
export function schemaForm(schema, values = {}) {
  const required = new Set(schema.required ?? []);
  const inputs = Object.entries(schema.properties ?? {}).map(([name, part]) => inputOf(name, resolved(part, schema), required.has(name), values[name] ?? part.default));
  return {
    node: h("div", { class: "schema-form" }, inputs.length ? inputs.map((input) => input.node) : h("p", { class: "soft" }, "It takes no arguments.")),
    read: () => Object.fromEntries(inputs.map((input) => [input.name, input.read()]).filter(([, value]) => value !== undefined)),
  };
}

/** A property with references followed and "or null" taken off. */
function resolved(part, schema) {
  if (part.$ref) return { ...at(schema, part.$ref), ...without(part, "$ref") };
  const choices = (part.anyOf ?? []).filter((one) => one.type !== "null");
  if (choices.length === 1) return { ...resolved(choices[0], schema), ...without(part, "anyOf"), optional: true };
  return part;
}

const at = (schema, ref) => ref.replace(/^#\//, "").split("/").reduce((inside, name) => inside?.[name], schema) ?? {};
const without = (part, name) => Object.fromEntries(Object.entries(part).filter(([key]) => key !== name));

function inputOf(name, part, required, start) {
  const id = `argument-${name}`;
  const [input, parse] = controlOf(part, start);
  input.id = id;
  input.name = name;
  if (required && input.type !== "checkbox") input.required = true;
  const hint = part.description ? h("small", { id: `${id}-hint` }, t(part.description)) : null;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  const read = () => {
    try {
      return parse(input);
    } catch (error) {
      throw new Error(`${name}: ${error.message}`);
    }
  };
  return { name, read, node: h("div", { class: "field" }, h("label", { for: id }, name.replaceAll("_", " "), required ? h("span", { class: "soft" }, " (needed)") : null), input, hint) };
}

/** An input and how it is read; an empty one is left out. */
function controlOf(part, start) {
  const unlessEmpty = (read) => (input) => (input.value.trim() === "" ? undefined : read(input.value));
  if (part.enum) return [h("select", {}, [h("option", { value: "" }, "–"), ...part.enum.map((one) => h("option", { value: one }, String(one)))].map((option) => marked(option, start))), unlessEmpty((value) => part.enum.find((one) => String(one) === value))];
  if (part.type === "boolean") return [h("input", { type: "checkbox", checked: Boolean(start) }), (input) => input.checked];
  if (part.type === "integer" || part.type === "number") {
    const limits = { min: part.minimum, max: part.maximum, step: part.type === "integer" ? "1" : "any" };
    return [h("input", { type: "number", ...limits, value: start ?? "" }), unlessEmpty(Number)];
  }
  if (part.type === "string") return [h("input", { type: "text", maxlength: part.maxLength, value: start ?? "" }), unlessEmpty(String)];
  if (part.type === "array" && ["string", undefined].includes(part.items?.type) && !part.items?.$ref && !part.items?.anyOf) {
    return [h("textarea", { rows: "3", placeholder: "one per line", value: (start ?? []).join("\n") }), unlessEmpty((value) => value.split("\n").filter((line) => line.trim()))];
  }
  return [h("textarea", { rows: "3", class: "code", placeholder: "JSON", value: start === undefined || start === null ? "" : JSON.stringify(start) }), unlessEmpty((value) => JSON.parse(value))];
}

function marked(option, start) {
  if (option.value === String(start ?? "")) option.setAttribute("selected", "");
  return option;
}
