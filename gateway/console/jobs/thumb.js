// Small pictures of jobs: one frame of the video, drawn once and kept for this tab.

import { get, mediaUrl } from "../api.js";
import { results } from "./actions.js";
import { mainInput } from "./describe.js";

const KEPT = 400;
// Connections of a browser to one host are few; pictures wait for each other.
const AT_ONCE = 2;
const WIDTH = 224;
// A film that does not come leaves its turn to others.
const SLOW_MS = 20_000;
const made = new Map();
const waiting = [];
let working = 0;

/** Return a link to a picture of what a job made, or of its input until then; null where there is none.
 * It is given up where the signal is aborted before its turn. */
export async function thumbnail(job, signal) {
  const result = results(job).find((one) => /^(video|image)\//.test(one.type));
  if (result?.type.startsWith("image/")) return mediaUrl(result.url);
  const key = result ? job.id : mainInput(job);
  if (!key) return null;
  if (!made.has(key)) {
    await turn(signal);
    try {
      if (signal.aborted) return null;
      if (!made.has(key)) keep(key, await (result ? picture(result) : ofAsset(key)));
    } finally {
      working -= 1;
      waiting.shift()?.();
    }
  }
  return made.get(key);
}

function picture({ url, type }) {
  if (type.startsWith("image/")) return mediaUrl(url);
  return type.startsWith("video/") ? frame(mediaUrl(url)) : null;
}

async function ofAsset(name) {
  try {
    const asset = await get(`/${name}`);
    // Of an empty file there is nothing to ask for.
    return Number(asset.sizeBytes) > 0 ? picture({ url: asset.downloadUrl, type: asset.contentType }) : null;
  } catch {
    return null; // it is not kept any more
  }
}

function turn(signal) {
  if (working < AT_ONCE) {
    working += 1;
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const enter = () => {
      working += 1;
      resolve();
    };
    waiting.push(enter);
    signal.addEventListener("abort", () => {
      if (waiting.includes(enter)) {
        waiting.splice(waiting.indexOf(enter), 1);
        enter();
      }
    });
  });
}

function keep(key, link) {
  made.set(key, link);
  if (made.size <= KEPT) return;
  const [oldest] = made.keys();
  if (made.get(oldest)?.startsWith("blob:")) URL.revokeObjectURL(made.get(oldest));
  made.delete(oldest);
}

/** Draw a frame of a video; null where the browser cannot play it. */
async function frame(src) {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, preload: "metadata", playsInline: true });
  try {
    await happened(video, "loadedmetadata", () => (video.src = src));
    await happened(video, "seeked", () => (video.currentTime = Math.min(1, (video.duration || 0) / 3)));
    const canvas = document.createElement("canvas");
    canvas.width = WIDTH;
    canvas.height = Math.round((WIDTH * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
    return picture && URL.createObjectURL(picture);
  } catch {
    return null;
  } finally {
    video.removeAttribute("src");
    video.load();
  }
}

function happened(video, name, begin) {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener("error", () => reject(new Error("no video")), { once: true });
    setTimeout(() => reject(new Error("too slow")), SLOW_MS);
    begin();
  });
}
