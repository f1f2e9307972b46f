// What can be done with a job: cancel, retry, again with changes, play, download.

import { can, mediaUrl, post } from "../api.js";
import { h, icon } from "../dom.js";
import { go, hasPage, href } from "../router.js";
import { act, ask, modal, toast } from "../ui.js";
import { isActive, title } from "./describe.js";

export const ABILITIES = { retry: false };

/** Ask the gateway what it can do, before actions are offered. */
export async function learn() {
  ABILITIES.retry = await can("POST /job/{id}/retry").catch(() => false);
}

/** Return the links to what a job made: [{name, url, type}]. */
export function results(job) {
  const output = job.output ?? {};
  const files = (output.files ?? []).map((file) => ({ name: file.name, url: file.url, type: file.contentType ?? "" }));
  if (files.length) return files.filter((file) => file.url);
  const clips = (output.videos ?? []).filter((clip) => clip.video_url);
  if (clips.length) return clips.map((clip) => ({ name: clip.id, url: clip.video_url, type: "video/mp4" }));
  if (output.video_url) return [{ name: fileName(output.video_url), url: output.video_url, type: "video/mp4" }];
  if (output.image_url) return [{ name: fileName(output.image_url), url: output.image_url, type: "image/jpeg" }];
  return [];
}

function fileName(link) {
  return decodeURIComponent(new URL(link).pathname.split("/").pop());
}

/** Make the buttons for a job. `onChange` is told of the job that came of one; labels are left out where `isShort`. */
export function buttons(job, { onChange, isShort = false }) {
  const name = isShort ? "button quiet" : "button";
  const found = [];
  const [first, ...others] = results(job);
  if (isActive(job)) found.push(act("Cancel", () => cancel(job, onChange), { sign: "stop", name }));
  if (first && isShort) found.push(playable(first) && act(...showing(first, () => play(job, first), name)));
  if (first && !others.length) found.push(download(first, name, isShort));
  if (!isActive(job) && ABILITIES.retry) {
    const label = job.status === "COMPLETED" ? "Run again" : "Retry";
    if (!isShort || job.status !== "COMPLETED")
      found.push(act(label, () => retry(job, onChange), { sign: "retry", name }));
  }
  if (!isActive(job) && hasPage("new")) found.push(again(job, name, isShort));
  return found.filter(Boolean);
}

function playable(result) {
  return result.type.startsWith("video/") || result.type.startsWith("image/") || result.type.startsWith("audio/");
}

function showing(result, work, name) {
  const isImage = result.type.startsWith("image/");
  return [isImage ? "Show" : "Play", work, { sign: isImage ? "image" : "play", name }];
}

async function cancel(job, onChange) {
  const sure = await ask({
    title: "Cancel this job?",
    text: `${title(job)}: what it has made so far is thrown away.`,
    action: "Cancel the job",
    danger: true,
  });
  if (!sure) return;
  await post(`/job/${job.id}/cancel`);
  toast("The job was cancelled.");
  await onChange?.(job.id);
}

async function retry(job, onChange) {
  const next = await post(`/job/${job.id}/retry`);
  toast("Queued anew, with the same inputs and options.");
  await onChange?.(next.id, next);
}

function again(job, name, isShort) {
  const label = "Again with changes";
  return h(
    "a",
    {
      class: isShort ? `${name} icon-only` : name,
      href: href(`/new?from=${job.id}`),
      title: label,
      "aria-label": label,
    },
    icon("edit"),
    !isShort && h("span", {}, label),
  );
}

/** Make a link that saves a result. */
export function download(result, name = "button", isShort = false) {
  const label = `Download ${result.name}`;
  return h(
    "a",
    {
      class: isShort ? `${name} icon-only` : name,
      href: mediaUrl(result.url),
      download: result.name,
      title: label,
      "aria-label": label,
    },
    icon("download"),
    !isShort && h("span", {}, "Download"),
  );
}

/** Save a result without a link to be seen. */
export function save(result) {
  h("a", { href: mediaUrl(result.url), download: result.name }).click();
}

/** Make what plays or shows a result. */
export function player(result, props = {}) {
  const src = mediaUrl(result.url);
  if (result.type.startsWith("image/")) return h("img", { src, alt: result.name, ...props });
  if (result.type.startsWith("audio/")) return h("audio", { src, controls: true, preload: "metadata", ...props });
  return h("video", { src, controls: true, playsInline: true, preload: "metadata", ...props });
}

function play(job, result) {
  return modal(
    (close) => [
      h(
        "div",
        { class: "player-head" },
        h("h2", {}, title(job)),
        h(
          "button",
          { class: "button quiet icon-only", type: "button", "aria-label": "Close", onclick: () => close("") },
          icon("close"),
        ),
      ),
      player(result, { autoplay: true }),
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { class: "button", type: "button", onclick: () => (close(""), go(`/jobs/${job.id}`)) }, "Details"),
        download(result, "button primary"),
      ),
    ],
    { label: `Play ${title(job)}`, class: "dialog-player" },
  );
}
