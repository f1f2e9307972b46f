// Presets as pictures: each rendered by an encoder, with the look that is set beside it.

import { fill, h } from "../dom.js";
import { inTurn, renderFrame } from "./frames.js";
import { SAMPLE_TEXT, SAMPLE_VIDEO } from "./sample.js";

const WIDTH = 260;
// Letters that can be read in so small a picture, where no size is set.
const LETTERS = { size: 13 };
const WAIT_MS = 600;
const SAMPLE_AT = 0.5;

/** Returns the pictures of the choices of a field of a look; none is rendered twice. */
export class Gallery {
  #schemas;
  #signal;
  #timer = 0;
  #round = null;
  #shown = "";
  #cards = new Map();
  element = h("div", {});

  constructor(schemas, signal) {
    this.#schemas = schemas;
    this.#signal = signal;
    signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      this.#round?.abort();
    });
  }

  /** Make the cards of a field; `onChoose` is told of a choice. */
  show(field, given, onChoose) {
    this.#cards = new Map(field.choices.map((choice) => [choice, h("span", { class: "preset-picture" })]));
    this.#shown = "";
    fill(
      this.element,
      h(
        "fieldset",
        { class: "presets" },
        h("legend", {}, field.label),
        ...field.choices.map((choice) =>
          h(
            "label",
            { class: "preset" },
            h("input", { type: "radio", name: "preset", value: choice, checked: choice === given, onchange: () => onChoose(choice) }),
            this.#cards.get(choice),
            h("span", {}, choice),
          ),
        ),
      ),
    );
  }

  /**
   * Render the pictures, once nothing has changed for a moment: of `request` where there is one with a video and
   * captions, else of a small video that comes with the console. `look` is the message that has the field of the
   * presets, by its name in the request.
   */
  render({ request, at, field, look }) {
    const base = request ?? { url_video: SAMPLE_VIDEO, srt_text: SAMPLE_TEXT };
    const key = JSON.stringify([base, at, look]);
    if (key === this.#shown || !this.#schemas.framed.has("caption")) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#round?.abort();
      this.#shown = key;
      this.#round = new AbortController();
      const { signal } = this.#round;
      for (const [choice, card] of this.#cards) {
        const styled = { ...base, [field.parent]: { ...LETTERS, ...look, [field.name]: choice } };
        this.#one(styled, request ? at : SAMPLE_AT, card, choice, signal);
      }
    }, WAIT_MS);
  }

  async #one(request, at, card, choice, signal) {
    try {
      const { url } = await inTurn(signal, () =>
        renderFrame(this.#schemas, "caption", request, { at, width: WIDTH, signal }),
      );
      if (!this.#signal.aborted) fill(card, h("img", { src: url, alt: "", loading: "lazy" }));
    } catch (error) {
      if (!signal.aborted) card.title = `${choice}: ${error.message}`;
    }
  }
}
