// What is told of a job as lists: facts by name, warnings.

import { h, icon } from "../dom.js";
import { bytes, clock } from "../format.js";
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

/** What is told of a file, of MediaFacts: "1:00 · 1920 × 1080 · h264 · 59.5 MB". */
export function media({ duration, width, height, codec, sizeBytes }) {
  const length = duration && (duration < 10 ? `${duration.toFixed(1)} s` : clock(duration));
  return [length, width && `${width} × ${height}`, codec, sizeBytes && bytes(sizeBytes)].filter(Boolean).join(" · ");
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
