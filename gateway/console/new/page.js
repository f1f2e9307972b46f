// New: files in, options set on a real frame, a quote, and off it goes.

import { get, post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { Page, useStyle } from "../page.js";
import { go } from "../router.js";
import { act, copy, problem, toast } from "../ui.js";
import { asCurl, asN8n, asPython } from "./code.js";
import { Entry, guessOperation } from "./files.js";
import { form } from "./form.js";
import { lengthOf, renderFrame, takePicture } from "./frames.js";
import { Gallery } from "./gallery.js";
import { dropZone, Inputs, rows, takeDrops } from "./inputs.js";
import { quoteCard } from "./quote.js";
import { IN_PART, loadSchemas, pruned, unmasked } from "./schema.js";
import { pointOver, placesOver, Stage } from "./stage.js";
import { Timeline } from "./story.js";
import { looksOf, previewOf } from "./previews.js";

const JOBS = "/jobs";
// Told of elsewhere, or of no use for a job that a person sends.
const NO_OPTION = new Set(["dry_run"]);

export default class NewPage extends Page {
  #schemas;
  #inputs;
  #stage;
  #gallery;
  #timelines = new Map();
  #name = "caption";
  #isChosen = false;
  #values = {};
  #mode = "";
  #length = undefined;
  #parts = {
    tabs: h("div", { class: "chips", role: "group", "aria-label": "What to make" }),
    about: h("p", { class: "muted" }),
    inputs: h("div", {}),
    options: h("div", {}),
    job: h("div", {}),
    tools: h("div", { class: "row" }),
    quote: h("div", { "aria-live": "polite" }),
  };

  async show() {
    const [schemas] = await Promise.all([
      loadSchemas(),
      useStyle(new URL("./new.css", import.meta.url)),
      useStyle(new URL("./frame.css", import.meta.url)),
    ]);
    this.#schemas = schemas;
    this.#inputs = new Inputs(this.signal);
    this.#stage = new Stage(this.signal);
    this.#gallery = new Gallery(schemas, this.signal);
    this.#inputs.addEventListener("change", () => this.#inputsChanged());
    await this.#begin();
    this.#build();
    this.#choose(this.#name, this.#isChosen);
    takeDrops(this, (found) => this.#take(found));
  }

  /** Begin as an earlier job was asked for, where the address names one. */
  async #begin() {
    const operation = this.query.get("operation");
    const from = this.query.get("from");
    const job = from ? await get(`/job/${encodeURIComponent(from)}`, { signal: this.signal }) : null;
    const name = job?.operation ?? operation;
    if (!name || !this.#schemas.operation(name)) return;
    this.#name = name;
    this.#isChosen = true;
    const { operation: asked = {}, options = {} } = job?.request ?? {};
    if (!asked[name]) toast("This job's request is too long to be told; give its files and options anew.", { kind: "bad" });
    if (IN_PART.test(JSON.stringify([asked, options]))) toast("Links and secrets that are told in part were left out.", { kind: "bad" });
    this.#adopt(name, { ...asked[name], ...options, ...(job?.metadata && { metadata: job.metadata }) });
  }

  /** Take over what a request says: its sources as inputs, all else as options. */
  #adopt(name, request) {
    const values = structuredClone(request);
    for (const field of this.#schemas.sources(this.#schemas.operation(name).schema)) {
      const given = [values[field.name] ?? []].flat();
      delete values[field.name];
      for (const one of given) {
        const part = field.parts?.find(({ name: key }) => typeof one === "object" && one[key]);
        const entry = new Entry({ source: field.parts ? (one[part?.name] ?? "") : one });
        if (field.parts && part) {
          entry.kind = part.name.includes("video") ? "video" : part.name.includes("image") ? "image" : entry.kind;
          const rest = { ...one };
          delete rest[part.name];
          delete rest.id;
          Object.assign(this.#timeline(name, field).optionsOf(entry), unmasked(rest));
        }
        this.#inputs.put(field, entry);
      }
    }
    this.#values[name] = unmasked(values);
  }

  #build() {
    const { tabs, about, inputs, options, job, tools, quote } = this.#parts;
    fill(
      this,
      h("h1", { class: "sr-only" }, "New job"),
      h(
        "div",
        { class: "grid2 new" },
        h(
          "div",
          { class: "stack" },
          h("section", { class: "card stack", "aria-label": "Operation and files" }, tabs, about, dropZone((found) => this.#take(found)), inputs),
          h("section", { class: "card stack", "aria-label": "Options" }, h("h2", {}, "Options"), options),
          h("section", { class: "card", "aria-label": "Job" }, job),
        ),
        h(
          "div",
          { class: "stack new-side" },
          h("section", { class: "card stack", "aria-label": "One frame of the result" }, this.#stage.element, tools, this.#gallery.element),
          h("section", { class: "card stack", "aria-label": "Send" }, this.#sendRow(), this.#copyRow(), quote),
        ),
      ),
    );
    fill(
      tabs,
      ...this.#schemas.operations
        .filter(({ name }) => name !== "frame")
        .map(({ name, text }) =>
          h("button", { class: "chip", type: "button", title: text, dataset: { operation: name }, onclick: () => this.#choose(name) }, name),
        ),
    );
  }

  #sendRow() {
    return h(
      "div",
      { class: "row" },
      act("Send", () => this.#send(), { sign: "play", name: "button primary" }),
      act("Quote first", () => this.#quote(), { sign: "gauge" }),
    );
  }

  #copyRow() {
    const button = (label, write) => act(label, () => copy(write(JOBS, this.#body(true)), `Copied: ${label}`), { sign: "copy", name: "button quiet" });
    return h(
      "div",
      { class: "row", role: "group", "aria-label": "Copy the request as" },
      button("curl", asCurl),
      button("Python", asPython),
      button("n8n node", asN8n),
    );
  }

  #take(found) {
    if (!this.#isChosen && !this.#inputs.all().length) this.#choose(guessOperation(found.map(({ kind }) => kind)), false);
    const left = this.#inputs.take(this.#sources, found);
    if (left.length) {
      const names = left.map(({ name }) => name).join(", ");
      toast(`${this.#name} takes no such file: ${names}. Choose another operation above.`, { kind: "bad" });
    }
  }

  get #operation() {
    return this.#schemas.operation(this.#name);
  }

  get #sources() {
    return this.#schemas.sources(this.#operation.schema);
  }

  get #value() {
    return (this.#values[this.#name] ??= {});
  }

  #timeline(name, field) {
    const key = `${name}.${field.name}`;
    if (!this.#timelines.has(key)) {
      const made = new Timeline(this.#schemas, this.#inputs, field, (what) => this.#sceneChanged(what));
      this.#timelines.set(key, made);
    }
    return this.#timelines.get(key);
  }

  /** The list of an operation whose elements have options of their own: the scenes of a story, the stills of a batch. */
  get #listed() {
    return this.#sources.find((field) => field.parts);
  }

  #choose(name, isChosen = true) {
    this.#name = name;
    this.#isChosen ||= isChosen;
    this.#mode = "";
    for (const chip of this.#parts.tabs.children) chip.setAttribute("aria-pressed", String(chip.dataset.operation === name));
    fill(this.#parts.about, this.#operation.text);
    fill(this.#parts.quote);
    this.#showOptions();
    const { jobOptions } = this.#schemas;
    const isJob = ({ name: one }) => jobOptions.has(one) && !NO_OPTION.has(one);
    const options = form(this.#schemas, this.#operation.schema, this.#value, () => {}, (field) => !isJob(field));
    fill(this.#parts.job, h("details", {}, h("summary", {}, h("h2", {}, "The job: webhook, priority, where results go")), options));
    this.#inputsChanged();
  }

  #showOptions() {
    const open = new Set([...this.#parts.options.querySelectorAll("details[open]")].map((group) => group.dataset.field));
    // Files and scenes have their places above.
    const inputs = new Set(this.#sources.map(({ name }) => name));
    const skip = ({ name }) => inputs.has(name) || this.#schemas.jobOptions.has(name);
    fill(this.#parts.options, form(this.#schemas, this.#operation.schema, this.#value, () => this.#optionChanged(), skip));
    for (const group of this.#parts.options.querySelectorAll("details")) group.open ||= open.has(group.dataset.field);
    this.#showGallery();
  }

  #showGallery() {
    const look = looksOf(this.#schemas, this.#operation.schema);
    this.#gallery.element.hidden = !look?.preset;
    if (!look?.preset) return;
    this.#gallery.show(look.preset, this.#value[look.name]?.[look.preset.name], (choice) => {
      this.#value[look.name] = { ...this.#value[look.name], [look.preset.name]: choice };
      this.#setByHand();
    });
  }

  #inputsChanged() {
    const listed = this.#listed;
    const plain = this.#sources.filter((field) => field !== listed);
    const kept = listed && this.#timeline(this.#name, listed);
    fill(this.#parts.inputs, rows(this.#inputs, plain), kept?.element);
    kept?.show();
    this.#preview();
  }

  #sceneChanged(what) {
    if (what === "select") this.#timeline(this.#name, this.#listed).show();
    this.#preview();
  }

  #optionChanged() {
    this.#preview();
  }

  /** Something was set on the frame: the form says so too. */
  #setByHand() {
    this.#showOptions();
    this.#preview();
  }

  /** Return the request of the operation; with `isWhole` what is on its way stands in it by its name. */
  #request(isWhole = false) {
    const request = { ...this.#value };
    for (const field of this.#sources) {
      const list = this.#inputs.list(field.name);
      if (!list.length) continue;
      if (field.parts) request[field.name] = this.#timeline(this.#name, field).scenes();
      else if (field.isList) request[field.name] = list.map(({ source }) => source);
      else request[field.name] = list[0].source;
      if (isWhole && !field.parts && !field.isList) request[field.name] ||= list[0].name;
    }
    const listed = this.#listed;
    if (listed?.items.required?.includes("id")) {
      request[listed.name] = (request[listed.name] ?? []).map((one, at) => ({ id: String(at + 1), ...one }));
    }
    return pruned(request);
  }

  /** Return the body of POST /jobs. */
  #body(isWhole = false) {
    const request = this.#request(isWhole);
    const said = Object.fromEntries(Object.entries(request).filter(([name]) => this.#schemas.jobOptions.has(name)));
    const own = Object.fromEntries(Object.entries(request).filter(([name]) => !(name in said)));
    return { [this.#name]: own, ...said };
  }

  #checkArrived() {
    const [late] = this.#inputs.pending;
    if (!late) return;
    throw late.error ?? new Error(`${late.name} is still on its way; wait a moment.`);
  }

  async #quote() {
    this.#checkArrived();
    fill(this.#parts.quote, h("p", { class: "muted" }, "Encoders plan it …"));
    try {
      const answer = await post(JOBS, { ...this.#body(), dry_run: true }, { signal: this.signal });
      fill(this.#parts.quote, quoteCard(answer.quote ?? {}));
    } catch (error) {
      fill(this.#parts.quote, problem(error));
    }
  }

  async #send() {
    this.#checkArrived();
    try {
      const job = await post(JOBS, this.#body(), { signal: this.signal });
      toast("Sent");
      go(`/jobs/${job.id}`);
    } catch (error) {
      fill(this.#parts.quote, problem(error));
    }
  }

  /** Show a frame of what would be made, where an encoder can render one. */
  async #preview() {
    const listed = this.#listed;
    const selected = listed ? this.#timeline(this.#name, listed).selected : null;
    const found = previewOf({
      schemas: this.#schemas,
      name: this.#name,
      request: this.#request(),
      selected: selected && { entry: selected, options: this.#timeline(this.#name, listed).optionsOf(selected) },
    });
    this.#showTools(found);
    const isOther = found.video !== this.#length?.source || (found.start !== this.#length?.start && !this.#stage.isTouched);
    if (found.video && isOther) {
      const { video: source, start } = found;
      this.#length = { source, start, seconds: await lengthOf(source, this.signal) };
      if (this.signal.aborted) return;
      this.#stage.setLength(this.#length.seconds, start ? 0 : this.#length.seconds / 2, start);
    } else if (!found.video) {
      if (this.#length?.seconds !== found.seconds) this.#stage.setLength(found.seconds, (found.seconds ?? 0) / 2);
      this.#length = { seconds: found.seconds };
    }
    this.#stage.show({ ...found, draw: found.operation || found.picture ? (how) => this.#drawn(found, how) : null });
    const look = looksOf(this.#schemas, this.#operation.schema);
    if (!look?.preset) return;
    const field = { name: look.preset.name, parent: look.name };
    const request = found.operation === "caption" ? found.request : null;
    this.#gallery.render({ request, at: this.#stage.at, field, look: this.#value[look.name] ?? {} });
  }

  #drawn(found, how) {
    if (found.picture) return takePicture(found.picture, how);
    const request = this.#mode === "point" && found.whole ? found.whole : found.request;
    return renderFrame(this.#schemas, found.operation, request, how);
  }

  /** The tools of the stage: nine places and a point, for the fields of the operation that have them. */
  #showTools(found) {
    const { places, point } = found;
    const tools = [
      places && ["places", "Nine places", "gauge"],
      point && ["point", point.title, "plus"],
    ].filter(Boolean);
    if (!tools.some(([mode]) => mode === this.#mode)) this.#mode = "";
    fill(
      this.#parts.tools,
      ...tools.map(([mode, label, sign]) =>
        h(
          "button",
          {
            class: "chip",
            type: "button",
            "aria-pressed": String(this.#mode === mode),
            onclick: () => {
              this.#mode = this.#mode === mode ? "" : mode;
              this.#preview();
            },
          },
          icon(sign),
          label,
        ),
      ),
    );
    this.#stage.setOver(this.#overlay(places, point));
  }

  #overlay(places, point) {
    const held = document.activeElement;
    const isHeld = this.#stage.element.contains(held) && held.closest(".stage-over");
    if (isHeld && held.closest(`[data-mode="${this.#mode}"]`)) return held.closest("[data-mode]");
    const made = this.#mode === "places" ? this.#placesLayer(places) : this.#mode === "point" ? this.#pointLayer(point) : null;
    if (made) made.dataset.mode = this.#mode;
    return made;
  }

  #placesLayer({ choices, of, label, set }) {
    return placesOver(choices, of(this.#value), label, (one) => {
      set(this.#value, one);
      this.#setByHand();
    });
  }

  #pointLayer(point) {
    return pointOver(point.given, point.title, (at) => {
      point.set(this.#value, at);
      this.#setByHand();
    });
  }
}

customElements.define("new-page", NewPage);
