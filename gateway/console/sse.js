// Server-sent events of a body that fetch reads: EventSource cannot send a key.

/** Yield {type, id, data} of each event; `data` is parsed as JSON. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      yield* blocks.map(parsed).filter((event) => event.data !== undefined);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  const event = { type: "message", id: "" };
  const lines = [];
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
    else if (name === "data") lines.push(value);
  }
  if (lines.length) event.data = JSON.parse(lines.join("\n"));
  return event;
}
