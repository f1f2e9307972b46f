// Files that were dropped or chosen: each is stored at the gateway at once, so that a frame of it can be rendered.

import { upload } from "../api.js";
import { isMasked, kindOfFile } from "./schema.js";

const AGAIN = "Remove it here, and add the whole link.";

/** A file on its way to the gateway, or a URL. `source` is what a request says for it, "" until it is there. */
export class Entry extends EventTarget {
  #gone = new AbortController();

  constructor({ file = null, source = "", name = "", kind = "" }) {
    super();
    this.file = file;
    this.source = isMasked(source) ? "" : source;
    this.name = name || nameOf(source);
    this.kind = kind || kindOfFile(this.name, file?.type);
    this.progress = source ? 1 : 0;
    this.error = isMasked(source) ? new Error(`${this.name}: only a part of this link is known. ${AGAIN}`) : null;
    /** What the browser itself can show of it; "" for what lies elsewhere. */
    this.local = file ? URL.createObjectURL(file) : "";
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  /** Store the file; ends without an error of its own, which is shown beside the file. */
  async send(signal) {
    if (!this.file) return;
    try {
      const asset = await upload(this.file, {
        signal: AbortSignal.any([signal, this.#gone.signal]),
        onProgress: (part) => {
          this.progress = Math.min(part, 0.99);
          this.#tell();
        },
      });
      this.source = asset.name;
      this.progress = 1;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
    }
    this.#tell();
  }

  /** End its way to the gateway, which keeps nothing of a part; let go of what the browser holds of it. */
  release() {
    this.#gone.abort();
    if (this.local) URL.revokeObjectURL(this.local);
  }
}

function nameOf(source) {
  if (source.startsWith("data:")) return "a file in the text";
  const path = source.split(/[?#]/)[0];
  try {
    return decodeURIComponent(path.split("/").pop()) || path;
  } catch {
    return path.split("/").pop() || path;
  }
}

const URLS = /(?:https?:\/\/|assets\/)[^\s"<>]+/g;

/** Return the URLs and names of assets in a text that was pasted. */
export function urlsIn(text) {
  return text.match(URLS) ?? [];
}

/** Return the operation that suits files by their kinds, where nobody has chosen one. */
export function guessOperation(kinds) {
  const has = (kind) => kinds.includes(kind);
  const videos = kinds.filter((kind) => kind === "video").length;
  if (has("video") && has("subtitles")) return "caption";
  if (has("image") && (has("video") || has("audio") || has("subtitles"))) return "story";
  if (has("image")) return "img2vid";
  if (videos > 1) return "concat";
  if (has("audio")) return "addaudio";
  return "caption";
}
