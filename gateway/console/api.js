// The public JSON API, by fetch. The key is in the session storage of this tab, and nowhere else.

import { events } from "./sse.js";

/** Where the gateway is, with a slash at the end, also below the path of a proxy. */
export const BASE = new URL("..", import.meta.url).href;
const KEY = "api-gpu.key";
const RETRY_SECONDS = [1, 2, 4, 8, 15];

/** What is told when the key is missing or wrong: the shell asks for another one. */
export const keys = new EventTarget();

export function hasKey() {
  return Boolean(sessionStorage.getItem(KEY));
}

export function setKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** An error of the API, or of the way to it, with what the gateway said to do. */
export class ApiError extends Error {
  constructor(message, { status = 0, reason = "", requestId = "", fields = {}, retrySeconds = 0 } = {}) {
    super(message);
    Object.assign(this, { status, reason, requestId, fields, retrySeconds });
  }

  /** Make one of the body of an answer. */
  static of(body, status, requestId) {
    const details = body?.details ?? [];
    const found = (name) => details.find((detail) => String(detail["@type"]).endsWith(name)) ?? {};
    const wrong = found("BadRequest").fieldViolations ?? [];
    return new ApiError(body?.message || `The gateway answered with ${status}.`, {
      status,
      requestId,
      reason: found("ErrorInfo").reason ?? "",
      fields: Object.fromEntries(wrong.map((one) => [one.field, one.description])),
      retrySeconds: parseFloat(found("RetryInfo").retryDelay) || 0,
    });
  }
}

async function send(method, path, { query, body, headers = {}, signal } = {}) {
  const url = new URL(path.replace(/^\//, ""), BASE);
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of [value].flat()) if (one !== undefined && one !== "") url.searchParams.append(name, one);
  }
  const sent = { Accept: "application/json", ...headers };
  const key = sessionStorage.getItem(KEY);
  if (key) sent["X-API-Key"] = key;
  const isJson = body !== undefined && !(body instanceof Blob);
  if (isJson) sent["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, signal, headers: sent, body: isJson ? JSON.stringify(body) : body });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The gateway cannot be reached. Is it running, and is this machine online?", {
      reason: "UNREACHABLE",
    });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => null);
  const error = ApiError.of(told, answer.status, answer.headers.get("x-request-id") ?? "");
  if (answer.status === 401) keys.dispatchEvent(new CustomEvent("wanted", { detail: { error } }));
  throw error;
}

export async function get(path, options) {
  return (await send("GET", path, options)).json();
}

export async function post(path, body = {}, options = {}) {
  return (await send("POST", path, { ...options, body })).json();
}

export async function del(path, options) {
  return (await send("DELETE", path, options)).json();
}

/** Return what is answered as it is, such as a picture. */
export async function blob(path, { method = "GET", ...options } = {}) {
  return (await send(method, path, options)).blob();
}

/** Store a file; returns its asset. `onProgress` is told the part of it that is sent, 0 to 1. */
export function upload(file, { signal, onProgress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", new URL(`assets/${encodeURIComponent(file.name)}`, BASE));
    request.responseType = "json";
    const key = sessionStorage.getItem(KEY);
    if (key) request.setRequestHeader("X-API-Key", key);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress?.(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(ApiError.of(request.response, request.status, request.getResponseHeader("x-request-id") ?? ""));
    };
    request.onerror = () => reject(new ApiError("The upload broke off. Try it again.", { reason: "UNREACHABLE" }));
    request.onabort = () => reject(new DOMException("The upload was given up.", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

/** Yield the messages of a stream. Where it breaks off it goes on from its last message; it ends when the stream does. */
export async function* watch(path, { signal } = {}) {
  let last = "";
  for (let failed = 0; ; failed += 1) {
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const answer = await send("GET", path, { headers, signal });
      if (answer.status === 204) return;
      for await (const event of events(answer.body)) {
        if (event.type === "error") throw ApiError.of(event.data.error, 0, "");
        last = event.id || last;
        failed = 0;
        yield event.data.result;
      }
      return;
    } catch (error) {
      if (signal?.aborted) return;
      const isFinal = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (isFinal) throw error;
      const usual = RETRY_SECONDS[Math.min(failed, RETRY_SECONDS.length - 1)];
      await pause(Math.max(usual, error.retrySeconds ?? 0), signal);
      if (signal?.aborted) return;
    }
  }
}

/** Wait; a signal that is aborted ends the wait. */
export function pause(seconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

let info;
let document_;

/** Return name, version and endpoints of the gateway, asked for once. */
export function about() {
  info ??= get("/").catch((error) => {
    info = undefined;
    throw error;
  });
  return info;
}

/** Return whether the gateway has an endpoint: "POST /job/{id}/retry". */
export async function can(endpoint) {
  return (await about()).endpoints.includes(endpoint);
}

/** Return the OpenAPI document, asked for once. */
export function openapi() {
  document_ ??= get("/openapi.json").catch((error) => {
    document_ = undefined;
    throw error;
  });
  return document_;
}

/** Return a signed link as this page reaches it: on the origin of the console, and from the gateway itself. */
export function mediaUrl(link) {
  const given = new URL(link, BASE);
  const at = given.pathname.indexOf("/files/");
  if (at < 0) return given.href;
  const url = new URL(given.pathname.slice(at + 1) + given.search, BASE);
  // What is downloaded is never sent on to a bucket, which the policy of this page would refuse.
  url.searchParams.set("download", "1");
  return url.href;
}

/** Return a signed link to an asset by its name, "assets/…". */
export async function assetUrl(name, options) {
  return mediaUrl((await get(`/${name}`, options)).downloadUrl);
}
