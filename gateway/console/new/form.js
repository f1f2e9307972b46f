// Options as a form, from the schema of their message. Controls write into the value that they are given.

import { fill, h } from "../dom.js";
import { labelOf } from "./schema.js";

const MAX_SLIDER_SPAN = 400;
let serial = 0;

/**
 * Make the controls of a message. `value` is changed in place; `onChange` is told of every change. Fields named in `skip`
 * are left to others.
 */
export function form(schemas, schema, value, onChange, skip = ({ kind }) => kind === "source") {
  const fields = schemas.fields(schema).filter((field) => !skip(field));
  const plain = fields.filter((field) => field.kind !== "object");
  const groups = fields.filter((field) => field.kind === "object");
  return h(
    "div",
    { class: "form" },
    ...groups.map((field) => group(schemas, field, value, onChange)),
    plain.length > 0 && h("div", { class: "form-fields" }, ...plain.map((field) => control(field, value, onChange))),
  );
}

function group(schemas, field, value, onChange) {
  const inner = { ...value[field.name] };
  const said = h("span", { class: "muted small" });
  const changed = () => {
    const count = Object.keys(inner).length;
    if (count) value[field.name] = inner;
    else delete value[field.name];
    fill(said, count ? `${count} set` : "");
    onChange(field.name);
  };
  const body = form(schemas, field.schema, inner, changed);
  const count = Object.keys(inner).length;
  fill(said, count ? `${count} set` : "");
  return h(
    "details",
    { class: "form-group", open: count > 0, dataset: { field: field.name } },
    h("summary", {}, h("span", {}, field.label), said),
    field.text && h("p", { class: "muted small" }, field.text),
    body,
  );
}

function control(field, value, onChange) {
  const id = `option-${(serial += 1)}`;
  const set = (given) => {
    if (given === undefined || given === "") delete value[field.name];
    else value[field.name] = given;
    onChange(field.name);
  };
  const input = (CONTROLS[field.kind] ?? text)(field, value[field.name], set, id);
  const first = field.text.split(/(?<=[^0-9]\.) /)[0];
  return h(
    "div",
    { class: `field field-${field.kind}`, dataset: { field: field.name } },
    h("label", { htmlFor: id }, field.label),
    input,
    h("p", { class: "muted small", id: `${id}-text`, title: field.text }, first),
  );
}

const described = (id) => ({ id, "aria-describedby": `${id}-text` });

function text(field, given, set, id) {
  return h("input", {
    ...described(id),
    type: field.name.endsWith("_url") ? "url" : "text",
    value: given ?? "",
    placeholder: field.kind === "source" ? "https://… or assets/…" : field.fallback,
    maxLength: field.schema.maxLength ?? 100000,
    spellcheck: false,
    oninput: (event) => set(event.target.value),
  });
}

function number(field, given, set, id) {
  const { minimum: min, maximum: max } = field;
  const step = field.schema.type === "integer" ? 1 : "any";
  const shared = { min: min ?? null, max: max ?? null };
  const box = h("input", {
    ...described(id),
    ...shared,
    type: "number",
    step,
    value: given ?? "",
    placeholder: field.fallback || "default",
    inputMode: "decimal",
  });
  const usual = Number.isFinite(parseFloat(field.fallback)) ? parseFloat(field.fallback) : min;
  const isSlider = min !== undefined && max !== undefined && max - min <= MAX_SLIDER_SPAN;
  const slider =
    isSlider &&
    h("input", {
      ...shared,
      type: "range",
      step: step === 1 ? 1 : (max - min) / 200,
      "aria-label": `${field.label}, as a slider`,
      oninput: () => {
        box.value = String(Math.round(slider.valueAsNumber * 1000) / 1000);
        set(Number(box.value));
      },
    });
  if (slider) slider.value = String(given ?? usual);
  box.addEventListener("input", () => {
    if (box.validity.badInput) return;
    if (slider) slider.value = box.value === "" ? String(usual) : box.value;
    set(box.value === "" ? undefined : Number(box.value));
  });
  return slider ? h("div", { class: "with-slider" }, slider, box) : box;
}

function choice(field, given, set, id) {
  const usual = field.fallback ? `default (${field.fallback})` : "default";
  const select = h(
    "select",
    { ...described(id), onchange: () => set(select.value) },
    h("option", { value: "" }, usual),
    ...field.choices.map((one) => h("option", { value: one }, one)),
  );
  select.value = given ?? "";
  return select;
}

function flag(field, given, set, id) {
  const select = h(
    "select",
    { ...described(id), onchange: () => set(select.value === "" ? undefined : select.value === "true") },
    h("option", { value: "" }, "default"),
    h("option", { value: "true" }, "yes"),
    h("option", { value: "false" }, "no"),
  );
  select.value = given === undefined ? "" : String(given);
  return select;
}

/** A file that stands in the request itself. */
function long(field, given, set, id) {
  const area = h("textarea", { ...described(id), rows: 3, spellcheck: false, oninput: () => set(area.value) });
  area.value = given ?? "";
  return area;
}

const COLOR = /^#[0-9a-f]{6}/i;

function color(field, given, set, id) {
  const box = h("input", {
    ...described(id),
    type: "text",
    value: given ?? "",
    placeholder: field.fallback || "#RRGGBB or #RRGGBBAA",
    pattern: "#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?",
    spellcheck: false,
  });
  const pick = h("input", { type: "color", "aria-label": `${field.label}, to pick` });
  pick.value = COLOR.exec(given ?? "")?.[0] ?? "#ffffff";
  pick.addEventListener("input", () => {
    box.value = pick.value.toUpperCase() + (box.value.length === 9 ? box.value.slice(7) : "");
    set(box.value);
  });
  box.addEventListener("input", () => {
    pick.value = COLOR.exec(box.value)?.[0].toLowerCase() ?? pick.value;
    if (box.value === "" || box.validity.valid) set(box.value);
  });
  return h("div", { class: "with-color" }, pick, box);
}

/** Lines of text; of objects JSON, which says what is wrong with it. */
function list(field, given, set, id) {
  const isText = field.items.type === "string";
  const area = h("textarea", {
    ...described(id),
    rows: 2,
    spellcheck: false,
    placeholder: isText ? "one on each line" : `JSON: a list of objects with ${Object.keys(field.items.properties ?? {}).join(", ")}`,
  });
  if (given) area.value = isText ? given.join("\n") : JSON.stringify(given);
  area.addEventListener("input", () => {
    area.setCustomValidity("");
    const lines = area.value.split("\n").filter((line) => line.trim());
    if (isText || !lines.length) return set(lines.length ? lines : undefined);
    try {
      set(JSON.parse(area.value));
    } catch (error) {
      area.setCustomValidity(`This is no JSON: ${error.message}`);
    }
  });
  return area;
}

function map(field, given, set, id) {
  const area = h("textarea", { ...described(id), rows: 2, spellcheck: false, placeholder: "NAME=VALUE on each line" });
  area.value = Object.entries(given ?? {})
    .map(([name, one]) => `${name}=${one}`)
    .join("\n");
  area.addEventListener("input", () => {
    const pairs = area.value.split("\n").map((line) => line.split(/=(.*)/s));
    const entries = pairs.filter(([name, one]) => name.trim() && one !== undefined);
    set(entries.length ? Object.fromEntries(entries.map(([name, one]) => [name.trim(), one])) : undefined);
  });
  return area;
}

/** The nine places of a picture, as a grid of radio buttons: arrow keys go through them. */
function place(field, given, set, id) {
  const name = `${id}-place`;
  const order = ["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"];
  return h(
    "div",
    { class: "places", role: "radiogroup", "aria-label": field.label, "aria-describedby": `${id}-text` },
    ...order.map((one, at) =>
      h(
        "label",
        { title: labelOf(one.replace("-", "_")) },
        h("input", {
          type: "radio",
          name,
          value: one,
          id: at === 0 ? id : null,
          checked: given === one,
          "aria-label": one.replace("-", " "),
          onchange: () => set(one),
        }),
        h("span", { "aria-hidden": "true" }),
      ),
    ),
  );
}

const CONTROLS = { text, long, number, choice, flag, color, list, map, place };
