// Of which request a frame shows what is being set, and where on it something can be set by hand. All of it follows from
// the shape of the messages: a list of nine places, a pair of numbers from 0 to 1, a list of presets.

import { labelOf } from "./schema.js";

const SECONDS = "duracao";
const USUAL_SECONDS = 5;
const SHORT_SIDE = 720;
// What stands for the captions of a video that has none yet.
const WORDS_SAY = "There is nothing to render yet: add";

/** Return the message of an operation that has a list of presets: its name, and the fields of note in it. */
export function looksOf(schemas, schema) {
  const objects = schemas.fields(schema).filter(({ kind }) => kind === "object");
  const found = objects.map((object) => ({
    name: object.name,
    preset: schemas.fields(object.schema).find(({ name, choices }) => name === "preset" && choices.length),
    place: schemas.fields(object.schema).find(({ kind }) => kind === "place"),
    point: pointIn(schemas, object.schema),
  }));
  return found.find(({ preset }) => preset) ?? null;
}

/** Return the pair of fields that are a point on the picture. */
function pointIn(schemas, schema) {
  const fields = schemas.fields(schema).filter(({ minimum, maximum }) => minimum === 0 && maximum === 1);
  for (const x of fields) {
    const y = fields.find(({ name }) => /x$/i.test(x.name) && name === x.name.replace(/x$/i, (end) => (end === "x" ? "y" : "Y")));
    if (y) return { x: x.name, y: y.name };
  }
  return null;
}

/** Return the message of an operation, or of a part of it, that has a point and no presets: a camera. */
function cameraOf(schemas, schema) {
  for (const object of schemas.fields(schema).filter(({ kind }) => kind === "object")) {
    const point = pointIn(schemas, object.schema);
    const isLook = schemas.fields(object.schema).some(({ name }) => name === "preset");
    if (point && !isLook) return { name: object.name, point, zooms: zoomsIn(schemas, object.schema) };
  }
  return null;
}

function zoomsIn(schemas, schema) {
  return schemas.fields(schema).filter(({ name, minimum }) => /zoom$/i.test(name) && minimum === 1).map(({ name }) => name);
}

/**
 * Return what the stage shows: {operation, request} of a frame, or {picture} of a video; `video` or `seconds` for its
 * slider, and `start` for where it begins; `places` and `point` for what can be set on it; `text` where there is nothing.
 */
export function previewOf({ schemas, name, request, selected }) {
  if (selected && name !== "concat") return sceneFrame(schemas, name, request, selected);
  if (schemas.sources(schemas.operation(name).schema).some(({ parts }) => parts)) return { text: `${WORDS_SAY} a still.` };
  if (!schemas.framed.has(name)) return plainVideo(schemas, name, request);
  return captionFrame(schemas, name, request);
}

function captionFrame(schemas, name, request) {
  const operation = schemas.operation(name);
  const sources = schemas.sources(operation.schema);
  const video = sources.find(({ accepts }) => accepts[0] === "video");
  const missing = sources.filter((field) => field.accepts[0] === "subtitles" && !request[field.name]);
  const hasWords = request.srt_text || request.words?.length;
  if (!request[video.name]) return { text: `${WORDS_SAY} a video.` };
  if (missing.length && !hasWords) return { ...plainVideo(schemas, name, request), text: `${WORDS_SAY} subtitles.` };
  const look = looksOf(schemas, operation.schema);
  return {
    operation: name,
    request,
    video: request[video.name],
    // Which the gateway finds: at any other time there may be no caption to be seen.
    start: "first caption",
    alt: "A frame of the video with its captions",
    places: look?.place && placesTool(look),
    point: look?.point && lookPoint(look, request),
  };
}

function placesTool(look) {
  return {
    label: labelOf(look.place.name),
    choices: look.place.choices,
    of: (value) => value[look.name]?.[look.place.name],
    set: (value, place) => {
      const changed = { ...value[look.name], [look.place.name]: place };
      if (look.point) [look.point.x, look.point.y].forEach((one) => delete changed[one]);
      value[look.name] = changed;
    },
  };
}

function lookPoint(look, request) {
  const { x, y } = look.point;
  const given = request[look.name] ?? {};
  return {
    title: "Anywhere",
    given: { x: given[x] ?? 0.5, y: given[y] ?? 0.5 },
    set: (value, at) => {
      const changed = { ...value[look.name], [x]: at.x, [y]: at.y };
      if (look.place) delete changed[look.place.name];
      value[look.name] = changed;
    },
  };
}

/** A video as it is, of operations of which no frame can be rendered beforehand. */
function plainVideo(schemas, name, request) {
  const fields = schemas.sources(schemas.operation(name).schema).filter(({ accepts }) => accepts.includes("video"));
  const found = fields.map((field) => [request[field.name] ?? []].flat()[0]).find((one) => typeof one === "string" && one);
  if (!found) return { text: `${WORDS_SAY} a video.` };
  return { picture: found, video: found, alt: "A frame of the video" };
}

/** A still as the camera shows it, or a video as it is: of the scene, or of the still of a batch, that is selected. */
function sceneFrame(schemas, name, request, { entry, options }) {
  if (!entry.source) return { text: `${entry.name} is on its way.` };
  if (entry.kind !== "image") return { picture: entry.source, video: entry.source, alt: `A frame of ${entry.name}` };
  const still = schemas.operation("img2vid");
  if (!still || !schemas.framed.has("img2vid")) return { text: "This gateway renders no frames." };
  const list = schemas.sources(still.schema).find(({ parts }) => parts);
  const known = new Set(Object.keys(still.schema.properties));
  const shared = Object.fromEntries(Object.entries(request).filter(([key]) => known.has(key) && key !== list.name));
  const camera = cameraOf(schemas, still.schema);
  const seconds = options[SECONDS] ?? USUAL_SECONDS;
  const motion = options[camera.name] ?? request[camera.name] ?? {};
  const made = {
    ...shared,
    ...sizeOf(request),
    ...(options.fit && { fit: options.fit }),
    [list.name]: [{ id: "1", [list.parts[0].name]: entry.source, [SECONDS]: seconds }],
    [camera.name]: motion,
  };
  const { x, y } = camera.point;
  const isOwn = name !== "img2vid" || options[camera.name] !== undefined;
  return {
    operation: "img2vid",
    request: made,
    // Without a zoom: where a point on the frame is the same point of the still.
    whole: { ...made, [camera.name]: Object.fromEntries(camera.zooms.map((zoom) => [zoom, 1])) },
    seconds,
    alt: `${entry.name}, as the camera shows it`,
    point: {
      title: "Focus point",
      given: { x: motion[x] ?? 0.5, y: motion[y] ?? 0.5 },
      set: (value, at) => {
        const target = isOwn ? options : value;
        target[camera.name] = { ...target[camera.name], [x]: at.x, [y]: at.y };
      },
    },
  };
}

/** Return the size of a film by the name of its shape: "9-16" is 720 × 1280. */
function sizeOf({ canvas, width, height }) {
  const [across, down] = (canvas ?? "").split("-").map(Number);
  if (!across || !down || width || height) return {};
  const side = SHORT_SIDE / Math.min(across, down);
  return { width: Math.round((across * side) / 2) * 2, height: Math.round((down * side) / 2) * 2 };
}
