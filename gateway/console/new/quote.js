// What a job would do and take, told before it is sent.

import { count, seconds, usd } from "../format.js";
import { h, icon } from "../dom.js";
import { pill } from "../ui.js";

/** Show a quote. */
export function quoteCard(quote) {
  const faults = quote.faults ?? [];
  return h(
    "div",
    { class: "quote stack", role: "status" },
    h("p", {}, quote.ok ? pill("ok", "Nothing stands in its way", "check") : pill("bad", "It would fail", "warn")),
    faults.length > 0 && h("ul", { class: "faults" }, ...faults.map(faultItem)),
    ...(quote.results ?? []).map(resultFacts),
    (quote.estimates ?? []).length > 0 && estimates(quote.estimates),
    quote.jobsAhead > 0 && h("p", { class: "muted" }, `${count(quote.jobsAhead)} jobs wait before it.`),
    ...(quote.unknown ?? []).map((text) => h("p", { class: "muted small" }, text)),
  );
}

function faultItem(fault) {
  const fields = Object.entries(fault.fields ?? {}).filter(([, text]) => !fault.message.includes(text));
  return h(
    "li",
    {},
    icon("warn"),
    h("div", {}, fault.message, ...fields.map(([name, text]) => h("p", { class: "small" }, h("code", {}, name), ` ${text}`))),
  );
}

function resultFacts(result) {
  const facts = [
    ["Result", [result.id, result.contentType].filter(Boolean).join(" · ")],
    ["Length", result.duration ? seconds(result.duration) : ""],
    ["Size", result.width ? `${result.width} × ${result.height}` : ""],
    ["Frames", result.frames ? count(Number(result.frames)) : ""],
    ["Made by", result.codec === "copy" ? "copied, not encoded" : result.codec],
    ["Tasks", result.tasks > 1 ? count(result.tasks) : ""],
  ].filter(([, text]) => text);
  return h(
    "div",
    { class: "stack" },
    h("dl", { class: "facts" }, ...facts.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    ...(result.warnings ?? []).map((warning) => h("p", { class: "warning small" }, icon("warn"), h("span", {}, warning.message))),
  );
}

const span = (range, text) =>
  !range ? "not known" : text(range.low) === text(range.high) ? text(range.high) : `${text(range.low)} to ${text(range.high)}`;

function estimates(list) {
  return h(
    "table",
    { class: "plain" },
    h("thead", {}, h("tr", {}, ...["Encoders", "Time", "Cost"].map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...list.map((one) =>
        h("tr", { title: one.basis }, h("td", {}, count(one.encoders)), h("td", {}, span(one.seconds, seconds)), h("td", {}, span(one.usd, usd))),
      ),
    ),
  );
}
