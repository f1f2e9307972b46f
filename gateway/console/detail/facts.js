// What is told of a job as lists: facts by name, warnings.

import { h, icon } from "../dom.js";
import { copy } from "../ui.js";

/** A warning, with its place. */
export function warning({ reason, message, metadata }) {
  const where = Object.entries(metadata ?? {}).map(([name, value]) => `${name} ${value}`);
  return h(
    "li",
    {},
    icon("warn"),
    h(
      "div",
      {},
      h("p", {}, message),
      h("p", { class: "small muted facts-line" }, h("code", {}, reason), ...where.map((text) => h("span", {}, text))),
    ),
  );
}

/** The elements of a list of [name, value]; what is empty is left out. */
export function pairs(entries) {
  return entries.filter(Boolean).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

/** A list of [name, value]. */
export function facts(entries) {
  return h("dl", { class: "facts" }, pairs(entries));
}

/** A button that copies a text. */
export function copyButton(text, what) {
  return h(
    "button",
    {
      class: "button quiet icon-only small-button",
      type: "button",
      "aria-label": `Copy ${what}`,
      title: `Copy ${what}`,
      onclick: () => copy(text),
    },
    icon("copy"),
  );
}
