// The inputs of an operation: a place to drop files on, and a row for each file, which can be a URL too.

import { fill, h, icon } from "../dom.js";
import { problem, progress } from "../ui.js";
import { Entry, urlsIn } from "./files.js";

/** The inputs of all operations; who listens to "change" is told when one came, went, or has arrived. */
export class Inputs extends EventTarget {
  #signal;
  /** Entries by the name of the field, a list each; kept when the operation is changed. */
  entries = {};

  constructor(signal) {
    super();
    this.#signal = signal;
    signal.addEventListener("abort", () => this.all().forEach((entry) => entry.release()));
  }

  all() {
    return Object.values(this.entries).flat();
  }

  list(name) {
    return (this.entries[name] ??= []);
  }

  /** Put an entry into a field, in place of what is there where it takes one. */
  put(field, entry, at = Infinity) {
    const list = this.list(field.name);
    if (!field.isList) list.splice(0).forEach((old) => old.release());
    list.splice(at, 0, entry);
    entry.addEventListener("change", () => this.changed());
    entry.send(this.#signal);
    this.changed();
  }

  remove(name, entry) {
    const list = this.list(name);
    const at = list.indexOf(entry);
    if (at < 0) return;
    list.splice(at, 1);
    entry.release();
    this.changed();
  }

  move(name, from, to) {
    const list = this.list(name);
    if (to < 0 || to >= list.length || from === to) return;
    list.splice(to, 0, ...list.splice(from, 1));
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Take files and URLs in, each where the operation takes its kind; return those that none of its fields takes. */
  take(fields, found) {
    return found.filter((entry) => {
      const fitting = fields.filter((field) => field.accepts.includes(entry.kind));
      const field = fitting.find((one) => one.isList || this.list(one.name).length === 0) ?? fitting[0];
      if (field) this.put(field, entry);
      return !field;
    });
  }

  /** Return what is not there yet, and what could not be sent. */
  get pending() {
    return this.all().filter((entry) => !entry.source);
  }
}

/** Return the entries of what was dropped, pasted or chosen. */
export function entriesOf(transfer) {
  const files = [...(transfer.files ?? [])].map((file) => new Entry({ file, name: file.name }));
  if (files.length) return files;
  return urlsIn(transfer.getData?.("text/plain") ?? "").map((source) => new Entry({ source }));
}

/** The place to drop files on. `onEntries` is told what came. */
export function dropZone(onEntries) {
  const picker = h("input", {
    type: "file",
    multiple: true,
    class: "sr-only",
    tabIndex: -1,
    "aria-hidden": "true",
    onchange: () => {
      onEntries(entriesOf(picker));
      picker.value = "";
    },
  });
  const urls = h("input", {
    id: "paste-urls",
    type: "text",
    placeholder: "https://… or assets/…, several with blanks between",
    spellcheck: false,
  });
  const add = (event) => {
    event.preventDefault();
    const found = urlsIn(urls.value).map((source) => new Entry({ source }));
    if (!found.length) {
      urls.setCustomValidity("Paste links that begin with http:// or https://, or names of assets.");
      urls.reportValidity();
      return;
    }
    urls.value = "";
    onEntries(found);
  };
  urls.addEventListener("input", () => urls.setCustomValidity(""));
  return h(
    "div",
    { class: "drop" },
    h("p", { class: "drop-title" }, icon("plus"), "Drop videos, stills, sound and subtitles here"),
    h("button", { class: "button", type: "button", onclick: () => picker.click() }, "Choose files"),
    picker,
    h(
      "form",
      { class: "drop-urls", onsubmit: add },
      h("label", { htmlFor: "paste-urls", class: "sr-only" }, "Links to files"),
      urls,
      h("button", { class: "button", type: "submit" }, "Add links"),
    ),
  );
}

const ICONS = { video: "film", image: "image", audio: "sound", subtitles: "edit", font: "edit" };

/** The rows of the inputs of an operation. */
export function rows(inputs, fields) {
  return h("ul", { class: "inputs" }, ...fields.flatMap((field) => fieldRows(inputs, field)));
}

function fieldRows(inputs, field) {
  const list = inputs.list(field.name);
  if (!list.length) return [emptyRow(inputs, field)];
  return list.map((entry, at) => row(inputs, field, entry, at, list.length));
}

function emptyRow(inputs, field) {
  const picker = h("input", {
    type: "file",
    multiple: Boolean(field.isList),
    class: "sr-only",
    tabIndex: -1,
    "aria-hidden": "true",
    onchange: () => entriesOf(picker).forEach((entry) => inputs.put(field, entry)),
  });
  return h(
    "li",
    { class: "input-row input-empty", dataset: { field: field.name } },
    icon(ICONS[field.accepts[0]] ?? "plus"),
    h("div", {}, h("b", {}, field.label), h("p", { class: "muted small", title: field.text }, field.text.split(". ")[0])),
    h("button", { class: "button", type: "button", "aria-label": `Choose a file: ${field.label}`, onclick: () => picker.click() }, "Choose"),
    picker,
  );
}

function row(inputs, field, entry, at, count) {
  const name = h("b", { class: "input-name", title: entry.source || entry.name }, entry.name);
  const label = count > 1 || field.isList ? `${field.label} ${at + 1}` : field.label;
  const state = h("div", {});
  const show = () => {
    if (entry.error) fill(state, problem(entry.error));
    else if (entry.source) fill(state, h("p", { class: "muted small" }, label));
    else fill(state, progress(entry.progress, `${entry.name}: on its way`));
  };
  entry.addEventListener("change", show);
  show();
  const sign = entry.kind === "image" && entry.local ? h("img", { src: entry.local, alt: "" }) : icon(ICONS[entry.kind] ?? "film");
  const button = (sign_, text, onclick, isOff = false) =>
    h("button", { class: "button quiet icon-only", type: "button", "aria-label": `${text}: ${entry.name}`, disabled: isOff, onclick }, icon(sign_));
  return h(
    "li",
    { class: "input-row", dataset: { field: field.name } },
    h("span", { class: "input-sign" }, sign),
    h("div", { class: "input-what" }, name, state),
    count > 1 && button("up", "Move up", () => inputs.move(field.name, at, at - 1), at === 0),
    count > 1 && button("down", "Move down", () => inputs.move(field.name, at, at + 1), at === count - 1),
    button("close", "Remove", () => inputs.remove(field.name, entry)),
  );
}

/** Take what is dropped or pasted anywhere on a page. */
export function takeDrops(page, onEntries) {
  const { signal } = page;
  const over = (event) => {
    if (![...event.dataTransfer.types].some((type) => type === "Files" || type === "text/plain")) return;
    event.preventDefault();
    page.classList.toggle("dropping", event.type === "dragover");
  };
  const take = (transfer) => {
    const found = entriesOf(transfer);
    if (found.length) onEntries(found);
  };
  for (const type of ["dragover", "dragleave"]) document.addEventListener(type, over, { signal });
  document.addEventListener("drop", (event) => (over(event), take(event.dataTransfer)), { signal });
  const paste = (event) => event.target.closest?.("input, textarea") || take(event.clipboardData);
  document.addEventListener("paste", paste, { signal });
}
