// Single frames from an encoder: a request of an operation as it stands, at a time, as a picture.

import { mediaUrl, post } from "../api.js";
import { PREVIEW_NOTE } from "../jobs/describe.js";
import { pruned } from "./schema.js";

const FRAME_PATH = "/video/frame";
// What is asked for the page alone: it goes before other jobs, and the list of jobs tells it apart from them.
const OWN = { priority: "interactive", metadata: PREVIEW_NOTE };
const MOST_AT_ONCE = 2;
const waiting = [];
let running = 0;

/** Do work of which there may be a lot, a few at a time: the frame that somebody waits for goes before it. */
export async function inTurn(signal, work) {
  while (running >= MOST_AT_ONCE) await new Promise((resolve) => waiting.push(resolve));
  running += 1;
  try {
    signal.throwIfAborted();
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** Render one frame of what an operation would make; returns {url, warnings}. */
export function renderFrame(schemas, operation, request, { at, width, signal }) {
  const own = Object.fromEntries(Object.entries(request).filter(([name]) => !schemas.jobOptions.has(name)));
  const body = { [operation]: pruned(own), width, ...OWN };
  if (at !== undefined) body.at_seconds = at;
  return picture(FRAME_PATH, body, signal);
}

/** Take a picture of a video as it is. */
export function takePicture(source, { at, width, signal }) {
  return picture("/video/thumbnail", { url_video: source, at_seconds: at, width, ...OWN }, signal);
}

async function picture(path, body, signal) {
  const answer = await post(path, body, { signal });
  return { url: mediaUrl(answer.image_url), warnings: answer.warnings ?? [] };
}

const lengths = new Map();

/** Return how long a file is, in seconds, asked for once; undefined where it has no length, or cannot be read. */
export function lengthOf(source, signal) {
  if (!lengths.has(source)) {
    const asked = post("/video/probe", { url: source, ...OWN }, { signal })
      .then((answer) => answer.media?.duration || answer.media?.captions?.lastSeconds || undefined)
      .catch(() => {
        lengths.delete(source);
        return undefined;
      });
    lengths.set(source, asked);
  }
  return lengths.get(source);
}
