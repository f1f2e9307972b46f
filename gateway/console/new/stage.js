// The stage: one real frame from an encoder, with what can be set on it by hand: nine places, and a point.

import { clock } from "../format.js";
import { fill, h, icon } from "../dom.js";
import { problem } from "../ui.js";

const WAIT_MS = 220;
const WIDTH = 720;
const STEP = 0.01;
const BIG_STEP = 0.1;

/**
 * Shows frames that `draw({at, width, signal})` makes. It begins anew by `show`, and says what is set on it by `onPlace`
 * and `onPoint`.
 */
export class Stage {
  #timer = 0;
  #running = null;
  #draw = null;
  #start = "";
  /** Whether the time was set by hand. */
  isTouched = false;
  #image = h("img", { class: "stage-image", alt: "", hidden: true });
  #empty = h("p", { class: "stage-empty muted" });
  #over = h("div", { class: "stage-over" });
  #said = h("p", { class: "muted small stage-said", role: "status" });
  #problem = h("div", {});
  #slider = h("input", { type: "range", id: "stage-at", min: "0", step: "0.04", value: "0" });
  #time = h("output", { htmlFor: "stage-at", class: "mono" }, "0:00");
  #timeRow = h("div", { class: "stage-time", hidden: true }, h("label", { htmlFor: "stage-at" }, "Time"), this.#slider, this.#time);
  #frame = h("div", { class: "stage-frame" }, this.#empty, this.#image, this.#over);
  element = h("figure", { class: "stage-figure" }, this.#frame, this.#timeRow, this.#said, this.#problem);

  constructor(signal) {
    signal.addEventListener("abort", () => this.#stop());
    this.#slider.addEventListener("input", () => {
      this.isTouched = true;
      this.#showTime();
      this.refresh();
    });
  }

  /** The time that is shown, in seconds; undefined where the gateway chooses it. */
  get at() {
    return this.#timeRow.hidden || this.#isAtStart ? undefined : this.#slider.valueAsNumber;
  }

  get #isAtStart() {
    return Boolean(this.#start) && !this.isTouched;
  }

  /** Say what there is to show: `draw`, null for nothing yet; `text` says why; `alt` is for those who do not see it. */
  show({ draw, text = "", alt = "A frame of the result" }) {
    this.#draw = draw;
    this.#image.alt = alt;
    fill(this.#empty, text);
    this.#empty.hidden = Boolean(draw) && !this.#image.hidden;
    if (!draw) {
      this.#stop();
      this.#image.hidden = true;
      this.#frame.classList.remove("stage-filled");
      fill(this.#said);
      fill(this.#problem);
      return;
    }
    this.refresh();
  }

  /** Give the slider of the time its length; undefined hides it. With `start`, the name of a moment that the gateway finds,
   * it shows that one until it is moved, else the time `at`. */
  setLength(seconds, at, start = "") {
    this.#timeRow.hidden = !seconds;
    this.#start = start;
    this.isTouched = false;
    if (!seconds) return;
    const most = Math.max(seconds - 0.04, 0);
    this.#slider.max = String(most);
    this.#slider.value = String(Math.min(at, most));
    this.#showTime();
  }

  #showTime() {
    if (this.#isAtStart) {
      fill(this.#time, this.#start);
      this.#slider.setAttribute("aria-valuetext", this.#start);
      return;
    }
    const at = this.#slider.valueAsNumber;
    fill(this.#time, `${clock(Math.floor(at))}.${Math.floor((at % 1) * 10)}`);
    this.#slider.setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
  }

  /** Render anew, once nothing has changed for a moment. */
  refresh() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#render(), WAIT_MS);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#running?.abort();
  }

  async #render() {
    this.#running?.abort();
    const mine = (this.#running = new AbortController());
    const began = performance.now();
    this.#frame.setAttribute("aria-busy", "true");
    try {
      const { url } = await this.#draw({ at: this.at, width: WIDTH, signal: mine.signal });
      const shown = new Image();
      shown.src = url;
      await shown.decode();
      if (mine.signal.aborted) return;
      this.#image.src = url;
      this.#image.hidden = false;
      this.#empty.hidden = true;
      this.#frame.classList.add("stage-filled");
      fill(this.#problem);
      fill(this.#said, `Rendered by an encoder in ${Math.round(performance.now() - began)} ms`);
    } catch (error) {
      if (mine.signal.aborted) return;
      fill(this.#problem, problem(error));
      fill(this.#said);
    } finally {
      if (this.#running === mine) this.#frame.removeAttribute("aria-busy");
    }
  }

  /** Lay controls over the frame, in place of those that are there. */
  setOver(control) {
    // What is set anew loses the focus.
    if (!control || control !== this.#over.firstChild) fill(this.#over, control);
  }
}

/** Nine places on the frame, as radio buttons: arrow keys go through them. */
export function placesOver(choices, given, label, onPlace) {
  const order = ["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"];
  return h(
    "div",
    { class: "places places-over", role: "radiogroup", "aria-label": label },
    ...order
      .filter((one) => choices.includes(one))
      .map((one) =>
        h(
          "label",
          { title: one.replace("-", " ") },
          h("input", {
            type: "radio",
            name: "place-over",
            value: one,
            checked: given === one,
            "aria-label": one.replace("-", " "),
            onchange: () => onPlace(one),
          }),
          h("span", { "aria-hidden": "true" }),
        ),
      ),
  );
}

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A point on the frame, 0 to 1 across and down: to be dragged, or moved by the arrow keys. */
export function pointOver({ x, y }, label, onPoint) {
  const at = { x, y };
  const handle = h("button", { class: "point", type: "button" }, icon("plus"));
  const layer = h("div", { class: "point-over" }, handle);
  const show = () => {
    handle.style.setProperty("left", `${at.x * 100}%`);
    handle.style.setProperty("top", `${at.y * 100}%`);
    handle.setAttribute("aria-label", `${label}: ${Math.round(at.x * 100)} % across, ${Math.round(at.y * 100)} % down. Arrow keys move it`);
  };
  const set = (across, down) => {
    at.x = Math.round(Math.min(1, Math.max(0, across)) * 1000) / 1000;
    at.y = Math.round(Math.min(1, Math.max(0, down)) * 1000) / 1000;
    show();
    onPoint({ ...at });
  };
  const drag = (event) => {
    const box = layer.getBoundingClientRect();
    set((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  layer.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus();
    layer.setPointerCapture(event.pointerId);
    drag(event);
  });
  layer.addEventListener("pointermove", (event) => layer.hasPointerCapture(event.pointerId) && drag(event));
  handle.addEventListener("keydown", (event) => {
    const [across, down] = KEYS[event.key] ?? [];
    if (across === undefined) return;
    event.preventDefault();
    const step = event.shiftKey ? BIG_STEP : STEP;
    set(at.x + across * step, at.y + down * step);
  });
  show();
  return layer;
}
