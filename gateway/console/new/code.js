// The same request for other programs: curl, Python, a node of n8n.

import { BASE } from "../api.js";

const url = (path) => new URL(path.replace(/^\//, ""), BASE).href;

/** Return a request as a command of a shell. The key comes from the environment. */
export function asCurl(path, body) {
  const text = JSON.stringify(body, null, 2).replaceAll("'", `'\\''`);
  return `curl -s -H "X-API-Key: $X_API_KEY" -H "Content-Type: application/json" \\\n  ${url(path)} \\\n  -d '${text}'\n`;
}

/** Return a request as a program in Python that waits for the end of the job. */
export function asPython(path, body) {
  const lines = [
    "import os",
    "",
    "import httpx",
    "",
    `gateway = httpx.Client(base_url=${literal(url(""))}, headers={"X-API-Key": os.environ["X_API_KEY"]}, timeout=60)`,
    `job = gateway.post(${literal(path.replace(/^\//, ""))}, json=${literal(body)}).raise_for_status().json()`,
    'while job["status"] in ("IN_QUEUE", "IN_PROGRESS"):',
    `    job = gateway.get(f"job/{job['id']}", headers={"Prefer": "wait=30"}).raise_for_status().json()`,
    'print(job["status"], job.get("output") or job.get("error"))',
  ];
  return `${lines.join("\n")}\n`;
}

/** Return a value as Python writes it. */
function literal(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const items = Array.isArray(value)
    ? value.map((one) => literal(one, deeper))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return items.length ? `${open}\n${items.map((item) => `${deeper}${item},\n`).join("")}${indent}${close}` : open + close;
}

/** Return a request as a node of n8n, to be pasted into a workflow; the key stands in a credential there. */
export function asN8n(path, body) {
  const node = {
    parameters: {
      method: "POST",
      url: url(path),
      authentication: "genericCredentialType",
      genericAuthType: "httpHeaderAuth",
      sendBody: true,
      specifyBody: "json",
      jsonBody: JSON.stringify(body, null, 2),
      options: {},
    },
    type: "n8n-nodes-base.httpRequest",
    typeVersion: 4.2,
    position: [0, 0],
    name: "api-gpu",
  };
  return `${JSON.stringify({ nodes: [node], connections: {} }, null, 2)}\n`;
}
