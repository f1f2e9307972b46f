// A story as a timeline: its scenes side by side, each as wide as it lasts, to be moved, set and removed.

import { clock } from "../format.js";
import { fill, h, icon } from "../dom.js";
import { form } from "./form.js";

const USUAL_SECONDS = 5;
const SECONDS = "duracao";

/** Holds what is set of each scene, by its entry: its options stay with it wherever it is moved. */
export class Timeline {
  #schemas;
  #inputs;
  #field;
  #onChange;
  #options = new WeakMap();
  #dragged = null;
  selected = null;
  element = h("div", { class: "story-line" });

  constructor(schemas, inputs, field, onChange) {
    this.#schemas = schemas;
    this.#inputs = inputs;
    this.#field = field;
    this.#onChange = onChange;
  }

  get #entries() {
    return this.#inputs.list(this.#field.name);
  }

  optionsOf(entry) {
    if (!this.#options.has(entry)) this.#options.set(entry, entry.kind === "image" ? { [SECONDS]: USUAL_SECONDS } : {});
    return this.#options.get(entry);
  }

  /** Return the scenes as the request has them. */
  scenes() {
    const names = this.#field.parts.map((part) => part.name);
    return this.#entries.map((entry) => {
      const name = names.find((one) => one.includes(entry.kind)) ?? names[0];
      return { [name]: entry.source, ...this.optionsOf(entry) };
    });
  }

  /** Build it anew. */
  show() {
    if (!this.#entries.includes(this.selected)) this.selected = this.#entries[0] ?? null;
    const total = this.#entries.reduce((sum, entry) => sum + this.#secondsOf(entry), 0);
    fill(
      this.element,
      this.#entries.length > 0 &&
        h("p", { class: "muted small" }, `${this.#entries.length} scenes, about ${clock(total)} without what transitions overlap`),
      this.#entries.length > 0 &&
        h("p", { class: "sr-only", id: "scene-keys" }, "Arrow keys with Alt move the scene, Delete removes it"),
      h("ol", { class: "scenes", "aria-label": "Scenes" }, ...this.#entries.map((entry, at) => this.#scene(entry, at))),
      this.selected && this.#panel(),
    );
  }

  #secondsOf(entry) {
    return this.optionsOf(entry)[SECONDS] ?? USUAL_SECONDS;
  }

  #scene(entry, at) {
    const isSelected = entry === this.selected;
    const picture = entry.local
      ? entry.kind === "video"
        ? h("video", { src: entry.local, muted: true, preload: "metadata", tabIndex: -1, "aria-hidden": "true" })
        : h("img", { src: entry.local, alt: "" })
      : icon(entry.kind === "video" ? "film" : "image");
    const button = h(
      "button",
      {
        class: "scene-button",
        type: "button",
        "aria-pressed": String(isSelected),
        "aria-describedby": "scene-keys",
        onclick: () => this.select(entry),
        onkeydown: (event) => this.#key(event, entry, at),
      },
      h("span", { class: "scene-picture" }, picture),
      h("span", { class: "scene-name" }, `${at + 1}. ${entry.name}`),
      h("span", { class: "muted small" }, this.optionsOf(entry)[SECONDS] ? `${this.optionsOf(entry)[SECONDS]} s` : "as long as it is"),
    );
    const item = h("li", { class: "scene", draggable: true, style: { "flex-grow": String(this.#secondsOf(entry)) } }, button);
    item.addEventListener("dragstart", (event) => {
      this.#dragged = at;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/x-scene", String(at));
    });
    item.addEventListener("dragover", (event) => this.#dragged !== null && event.preventDefault());
    item.addEventListener("drop", (event) => {
      if (this.#dragged === null) return;
      event.preventDefault();
      event.stopPropagation();
      const from = this.#dragged;
      this.#dragged = null;
      this.#inputs.move(this.#field.name, from, at);
    });
    item.addEventListener("dragend", () => (this.#dragged = null));
    return item;
  }

  #key(event, entry, at) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way && event.altKey) {
      event.preventDefault();
      this.#inputs.move(this.#field.name, at, at + way);
      this.#focus(at + way);
    } else if (event.key === "Delete") {
      this.#inputs.remove(this.#field.name, entry);
      this.#focus(Math.max(at - 1, 0));
    }
  }

  #focus(at) {
    this.element.querySelectorAll(".scene-button")[at]?.focus();
  }

  select(entry) {
    const at = this.#entries.indexOf(entry);
    this.selected = entry;
    this.#onChange("select");
    this.#focus(at);
  }

  #panel() {
    const at = this.#entries.indexOf(this.selected);
    const options = this.optionsOf(this.selected);
    const changed = (name) => {
      if (name === SECONDS) this.#resize(at);
      this.#onChange("option");
    };
    return h(
      "section",
      { class: "scene-panel", "aria-label": `Scene ${at + 1}` },
      h(
        "div",
        { class: "row" },
        h("h2", {}, `Scene ${at + 1}: ${this.selected.name}`),
        h("button", { class: "button quiet", type: "button", onclick: () => this.#inputs.remove(this.#field.name, this.selected) }, "Remove"),
      ),
      form(this.#schemas, this.#field.items, options, changed, (field) => field.name === "id" || this.#isPicture(field)),
    );
  }

  #isPicture({ name }) {
    return this.#field.parts.some((part) => part.name === name);
  }

  #resize(at) {
    const entry = this.#entries[at];
    const item = this.element.querySelectorAll(".scene")[at];
    item.style.setProperty("flex-grow", String(this.#secondsOf(entry)));
    item.querySelector(".scene-button > .muted").textContent = `${this.#secondsOf(entry)} s`;
  }
}
