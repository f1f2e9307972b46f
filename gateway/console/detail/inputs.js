// The inputs of a job: their names, what an encoder found them to be, and whether uploads are still kept.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { bytes } from "../format.js";
import { facts, media } from "./facts.js";

const ASSET = /^assets\/[a-z2-7]{26}$/;
// A batch may have thousands.
const MAX_ASKED = 12;

/** The card of the inputs; null where a job has none, or this key may not be told. */
export function inputsCard(job, signal) {
  const inputs = job.inputs ?? [];
  if (!inputs.length) return null;
  const asked = Object.values(job.request?.operation ?? {})[0] ?? {};
  const known = Object.fromEntries((job.inputFacts ?? []).map((fact) => [fact.field, media(fact)]));
  const rows = inputs.map((input, at) => {
    const said = h("span", { class: "small muted" }, known[input.field]);
    const source = valueAt(asked, input.field);
    if (at < MAX_ASKED && ASSET.test(source)) describe(source, said, known[input.field], signal);
    return [input.field, h("span", { class: "facts-line" }, h("span", {}, input.name || "(no name)"), said)];
  });
  return h("section", { class: "card", "aria-label": "Inputs" }, h("h2", {}, "Inputs"), facts(rows));
}

/** Return what stands at a path like "images[0].image_url"; undefined for nothing. */
function valueAt(message, path) {
  return path.split(/[.[\]]+/).reduce((value, name) => (name === "" ? value : value?.[name]), message);
}

async function describe(source, said, known, signal) {
  try {
    const { contentType, sizeBytes } = await get(`/${source}`, { signal });
    fill(said, known || [contentType, bytes(sizeBytes)].filter(Boolean).join(" · "));
  } catch (error) {
    const gone = "is no longer kept: the job cannot be tried again without it";
    if (error.status === 404) fill(said, [known, gone].filter(Boolean).join(" · "));
  }
}
