// Two pictures of one film, one over the other, with an edge that is dragged: left of it the input, right the result.

import { fill, h, icon } from "../dom.js";
import { clock } from "../format.js";

// Two players never keep step by themselves.
const APART_SECONDS = 0.12;

export class BeforeAfter extends HTMLElement {
  #after;
  #before;

  /** Show `after`, a link to a video, and `before`: {url, isImage}. */
  begin(after, before) {
    this.#after = h("video", { src: after, preload: "auto", playsInline: true, "aria-label": "Result" });
    this.#before = before.isImage
      ? h("img", { src: before.url, alt: "Input" })
      : h("video", { src: before.url, preload: "auto", playsInline: true, muted: true, "aria-label": "Input" });
    this.#before.className = "before";
    const split = h("input", {
      type: "range",
      class: "split",
      min: 0,
      max: 100,
      step: 1,
      value: 50,
      "aria-label": "Part that shows the input",
      oninput: () => this.#divide(Number(split.value)),
    });
    this.stage = h(
      "div",
      { class: "stage" },
      this.#after,
      this.#before,
      h("span", { class: "tag tag-before" }, "Before"),
      h("span", { class: "tag tag-after" }, "After"),
      split,
      h("span", { class: "edge", "aria-hidden": "true" }),
    );
    fill(this, this.stage, this.#controls());
    this.#after.addEventListener("loadedmetadata", () => {
      const { videoWidth, videoHeight } = this.#after;
      if (videoHeight) this.stage.style.setProperty("--shape", `${videoWidth} / ${videoHeight}`);
    });
    this.#before.addEventListener("error", () => this.classList.add("alone"));
    this.#divide(50);
  }

  #divide(percent) {
    this.stage.style.setProperty("--split", `${percent}%`);
  }

  #controls() {
    const after = this.#after;
    const play = h("button", { class: "button", type: "button", onclick: () => this.#toggle() });
    const at = h("input", {
      type: "range",
      class: "seek",
      min: 0,
      max: 1000,
      value: 0,
      "aria-label": "Place in the film",
    });
    const shown = h("span", { class: "mono small muted" });
    const sound = h("button", { class: "button quiet", type: "button", onclick: () => (after.muted = !after.muted) });
    const drawPlay = () => {
      fill(play, icon(after.paused ? "play" : "stop"), h("span", {}, after.paused ? "Play" : "Pause"));
    };
    const drawSound = () => {
      fill(sound, icon("sound"), h("span", {}, after.muted ? "Sound off" : "Sound on"));
      sound.setAttribute("aria-pressed", String(!after.muted));
    };
    const draw = () => {
      const length = after.duration || 0;
      shown.textContent = `${clock(after.currentTime)} / ${clock(length)}`;
      if (length) at.value = (after.currentTime / length) * 1000;
      at.setAttribute("aria-valuetext", shown.textContent);
      this.#keepStep();
    };
    for (const name of ["timeupdate", "loadedmetadata", "seeked"]) after.addEventListener(name, draw);
    for (const name of ["play", "pause", "ended"]) after.addEventListener(name, drawPlay);
    after.addEventListener("volumechange", drawSound);
    at.addEventListener("input", () => {
      after.currentTime = ((after.duration || 0) * at.value) / 1000;
      this.#keepStep();
    });
    drawPlay();
    drawSound();
    draw();
    return h("div", { class: "controls" }, play, at, shown, sound);
  }

  #toggle() {
    const both = [this.#after, this.#before].filter((one) => one.play);
    if (this.#after.paused) for (const one of both) one.play().catch(() => {});
    else for (const one of both) one.pause();
  }

  #keepStep() {
    const other = this.#before;
    if (!other.play) return;
    if (Math.abs(other.currentTime - this.#after.currentTime) > APART_SECONDS)
      other.currentTime = this.#after.currentTime;
    if (this.#after.paused && !other.paused) other.pause();
  }
}

customElements.define("before-after", BeforeAfter);
