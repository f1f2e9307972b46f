// What can be asked for, read from the OpenAPI document of the gateway: operations, their options, ranges and choices.
// Nothing of it is written here a second time.

import { openapi } from "../api.js";

const SOURCE = "^(https?://|assets/|data:|step:).";
const PLACES = ["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"];
// Of names that are not English, or shorter than people speak.
const LABELS = { duracao: "seconds", srt_text: "subtitles as text" };
const CAPITALS = /\b(fps|id|json|url|usd)\b/g;
// What single requests had before there were lists of them.
const OLDER = /older form/i;
// What an element of a list is made of; its sound is an option of it.
const PICTURES = ["image", "video"];
const METHODS_PATH = /^\/video\/([a-z0-9]+)$/;
const FRAME = "frame";

/** Read the document of the gateway. */
export async function loadSchemas() {
  return new Schemas(await openapi());
}

export class Schemas {
  constructor(document) {
    this.document = document;
    this.operations = [...this.#operations()];
    const known = this.operations.map(({ schema }) => new Set(Object.keys(schema.properties)));
    /** Names of what every request takes: what is said of the job, not of its work. */
    this.jobOptions = new Set([...(known[0] ?? [])].filter((name) => known.every((names) => names.has(name))));
    const frame = this.operation(FRAME);
    /** Names of the operations of which one frame can be rendered. */
    this.framed = new Set(frame ? this.operations.map(({ name }) => name).filter((name) => name in frame.schema.properties) : []);
  }

  operation(name) {
    return this.operations.find((operation) => operation.name === name);
  }

  /** Return a schema behind its reference, with the description that stands beside that. */
  resolve(schema) {
    if (!schema?.$ref) return schema ?? {};
    const found = this.document.components.schemas[schema.$ref.split("/").pop()];
    return schema.description ? { ...found, description: schema.description } : found;
  }

  *#operations() {
    const seen = new Set();
    for (const [path, item] of Object.entries(this.document.paths)) {
      const name = METHODS_PATH.exec(path)?.[1];
      const body = item.post?.requestBody?.content?.["application/json"]?.schema;
      if (!name || !body || seen.has(body.$ref)) continue;
      seen.add(body.$ref);
      yield { name, path, text: item.post.summary ?? "", schema: this.resolve(body) };
    }
  }

  /** Return the fields of a message, each with what a form has to know of it. */
  fields(schema) {
    const required = new Set(schema.required ?? []);
    return Object.entries(schema.properties ?? {})
      .filter(([, property]) => !OLDER.test(property.description ?? ""))
      .map(([name, property]) => this.#field(name, property, required.has(name)));
  }

  #field(name, property, isRequired) {
    const schema = this.resolve(property);
    // Other fields stand in it by their names: here by their labels.
    const text = (schema.description ?? "").replace(/\s+/g, " ").replace(/`(\w+)`/g, (_, other) => labelOf(other));
    const items = schema.items ? this.resolve(schema.items) : null;
    const choices = (schema.enum ?? []).filter((choice) => choice === choice.toLowerCase());
    return {
      name,
      schema,
      items,
      choices,
      isRequired,
      text,
      label: labelOf(name),
      kind: name.endsWith("_text") ? "long" : kindOf(schema, items, choices, text),
      fallback: /(?:^|[;,] )(\S+) when not given/.exec(text)?.[1] ?? "",
      minimum: schema.minimum,
      maximum: schema.maximum,
    };
  }

  /** Return the fields of a message that name files: `list` where there are several, `part` of messages in a list. */
  sources(schema) {
    return this.fields(schema).flatMap((field) => {
      if (field.kind === "source") return [{ ...field, accepts: acceptsOf(field.name) }];
      if (field.kind !== "list") return [];
      if (isSource(field.items)) return [{ ...field, isList: true, accepts: acceptsOf(field.name) }];
      const inside = field.items.properties ? this.fields(field.items).filter(({ kind }) => kind === "source") : [];
      const parts = inside.filter(({ name }) => PICTURES.includes(acceptsOf(name)[0]));
      return parts.length ? [{ ...field, isList: true, parts, accepts: parts.flatMap(({ name }) => acceptsOf(name)) }] : [];
    });
  }
}

function isSource(schema) {
  return schema?.pattern === SOURCE;
}

function kindOf(schema, items, choices, text) {
  if (isSource(schema)) return "source";
  if (items) return "list";
  if (schema.additionalProperties && !schema.properties) return "map";
  if (schema.properties) return "object";
  if (choices.length) return PLACES.every((place) => choices.includes(place)) ? "place" : "choice";
  if (schema.type === "boolean") return "flag";
  if (schema.type === "number" || schema.type === "integer") return "number";
  return text.startsWith("Color ") ? "color" : "text";
}

/** Return the name of a field for people: "outlineColor" as "Outline color". */
export function labelOf(name) {
  const words = (LABELS[name] ?? name)
    .replace(/^url_|_url$/g, "")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
  if (words === "srt") return "Subtitles";
  return (words[0].toUpperCase() + words.slice(1)).replace(CAPITALS, (word) => word.toUpperCase());
}

const KINDS = [
  ["srt", ["subtitles"]],
  ["font", ["font"]],
  ["audio", ["audio", "video"]],
  ["music", ["audio"]],
  ["image", ["image"]],
  ["video", ["video"]],
];

/** Return the kinds of files that a field takes, by its name. */
function acceptsOf(name) {
  return KINDS.find(([part]) => name.toLowerCase().includes(part))?.[1] ?? ["video", "audio", "image", "subtitles", "font"];
}

const ENDINGS = {
  subtitles: ["srt", "vtt", "ass", "ssa", "sbv", "lrc", "ttml", "dfxp", "smi", "sami", "json"],
  font: ["ttf", "otf", "ttc", "woff", "woff2"],
  image: ["jpg", "jpeg", "png", "webp", "heic", "heif", "avif", "tif", "tiff", "bmp"],
  audio: ["mp3", "wav", "m4a", "aac", "flac", "ogg", "opus", "aiff", "wma"],
};

/** Return what a file is, by its name and the type that the browser gives it. */
export function kindOfFile(name, type = "") {
  const ending = name.split(/[?#]/)[0].split(".").pop().toLowerCase();
  const known = Object.entries(ENDINGS).find(([, endings]) => endings.includes(ending));
  if (known) return known[0];
  const main = type.split("/")[0];
  return ["image", "audio", "video"].includes(main) ? main : type.startsWith("text/") ? "subtitles" : "video";
}

// What the gateway tells in place of what may open something: the query of a URL, the value of a header.
const MASK = "***";
/** Finds such a text in JSON. */
export const IN_PART = /["?]\*{3}"/;

/** Return whether a text is told in part. */
export function isMasked(text) {
  return text === MASK || text.endsWith(`?${MASK}`);
}

/** Return a request that was told, without the texts in it that are told in part. */
export function unmasked(value) {
  if (typeof value === "string") return isMasked(value) ? "" : value;
  if (Array.isArray(value)) return value.map(unmasked);
  if (value === null || typeof value !== "object") return value;
  return pruned(Object.fromEntries(Object.entries(value).map(([name, one]) => [name, unmasked(one)])));
}

/** Return a request without what is empty. */
export function pruned(value) {
  if (Array.isArray(value)) return value.map(pruned).filter((one) => one !== undefined);
  if (value === null || typeof value !== "object") return value === "" || value === null ? undefined : value;
  const entries = Object.entries(value)
    .map(([name, one]) => [name, pruned(one)])
    .filter(([, one]) => one !== undefined && !(typeof one === "object" && Object.keys(one).length === 0));
  return Object.fromEntries(entries);
}
