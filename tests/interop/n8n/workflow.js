// Runs nodes of the package as n8n does, one after the other, against a gateway:  node workflow.js PACKAGE < PLAN
//
// PLAN is JSON: {"credentials": {…}, "runs": [{"node", "parameters", "items", "continueOnFail"}]}; "hook" in place of "node" waits
// for one call of a webhook, and gives it to the trigger. "faults" are what the first calls of a run meet: a status, or "lost", where
// the gateway hears the call and its answer gets lost. "stopMs" stops the run after so long. "$N" in parameters is the JSON of the first item of run N, by a path.
// What each run gave is printed as one line of JSON.
const http = require('node:http');
const path = require('node:path');
const { Readable } = require('node:stream');

const root = path.resolve(process.argv[2]);
const manifest = require(path.join(root, 'package.json'));
const classes = (files) => files.flatMap((file) => Object.values(require(path.join(root, file)))).map((made) => new made());
const nodes = Object.fromEntries(classes(manifest.n8n.nodes).map((node) => [node.description.name, node]));
const [credential] = classes(manifest.n8n.credentials);

// What calls of the run that goes on are to meet.
let faults = [];

// An expression of a credential: "={{$credentials.apiKey}}".
const resolve = (text, credentials) => text.replace(/^=/, '').replace(/\{\{\s*\$credentials\.(\w+)\s*\}\}/g, (_, name) => credentials[name]);

// httpRequestWithAuthentication, with the answers of n8n's own.
async function request(credentials, options) {
  const headers = { ...options.headers };
  for (const [name, value] of Object.entries(credential.authenticate.properties.headers)) headers[name] = resolve(value, credentials);
  const isData = options.body === undefined || Buffer.isBuffer(options.body) || options.body instanceof Readable;
  if (options.json) headers.Accept = 'application/json';
  if (!isData) headers['Content-Type'] = 'application/json';
  const url = new URL((options.baseURL ?? '') + options.url);
  for (const [name, value] of Object.entries(options.qs ?? {})) url.searchParams.set(name, value);
  const body = isData ? options.body : JSON.stringify(options.body);
  const signal = options.timeout ? AbortSignal.timeout(options.timeout) : undefined;
  const fault = faults.shift();
  if (typeof fault === 'number') return { statusCode: fault, headers: {}, body: '{"message":"not now"}' };
  const answer = await fetch(url, { method: options.method ?? 'GET', headers, body, signal, duplex: 'half' });
  if (fault === 'lost') throw new Error('read ECONNRESET');
  if (!answer.ok && !options.ignoreHttpStatusErrors) throw new Error(`Request failed with status code ${answer.status}`);
  const given = options.encoding === 'stream' ? Readable.fromWeb(answer.body) : await parsed(answer);
  return options.returnFullResponse ? { statusCode: answer.status, headers: Object.fromEntries(answer.headers), body: given } : given;
}

async function parsed(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const isShown = ({ displayOptions }, values) =>
  Object.entries(displayOptions?.show ?? {}).every(([name, wanted]) => wanted.includes(values[name]));

// The values of all parameters that are shown: those that are given, else what they begin with.
function filledIn(description, given) {
  const values = { ...given };
  for (const property of description.properties) {
    if (isShown(property, values) && !(property.name in values)) values[property.name] = property.default;
  }
  const shown = new Set(description.properties.filter((property) => isShown(property, values)).map(({ name }) => name));
  for (const name of Object.keys(given)) if (!shown.has(name)) throw new Error(`there is no parameter ${name}`);
  return values;
}

// What an execution gives to a node.
function execution(description, run, credentials) {
  const values = filledIn(description, run.parameters ?? {});
  const items = (run.items ?? [{ json: {} }]).map((item) => structuredClone(item));
  const stop = run.stopMs === undefined ? new AbortController().signal : AbortSignal.timeout(run.stopMs);
  const stored = new Map(items.flatMap(({ binary = {} }) => Object.values(binary)).map((each) => [each.id, each]));
  return {
    getInputData: () => items,
    getNodeParameter: (name) => {
      if (!(name in values)) throw new Error(`Could not get parameter "${name}"`);
      return values[name];
    },
    getNode: () => ({ id: '1', name: description.displayName, type: description.name, typeVersion: 1, position: [0, 0], parameters: values }),
    getCredentials: async () => credentials,
    continueOnFail: () => run.continueOnFail ?? false,
    getExecutionCancelSignal: () => stop,
    helpers: {
      httpRequestWithAuthentication: function (name, options) {
        if (name !== credential.name || this.getNode === undefined) throw new Error('called without its node and credential');
        return request(credentials, options);
      },
      assertBinaryData: (index, name) => {
        const found = items[index].binary?.[name];
        if (!found) throw new Error(`there is no binary field ${name}`);
        return found;
      },
      getBinaryMetadata: async (id) => ({ fileSize: Buffer.byteLength(stored.get(id).content, 'base64') }),
      getBinaryStream: async (id) => Readable.from([Buffer.from(stored.get(id).content, 'base64')]),
      prepareBinaryData: async (data, fileName, mimeType) => {
        const content = Buffer.concat(await data.toArray());
        return { data: content.toString('base64'), fileName, mimeType, fileSize: String(content.length) };
      },
    },
  };
}

// One call to the webhook of a trigger, as n8n takes it.
function hooked(trigger, run, credentials, server) {
  const values = filledIn(trigger.description, run.parameters ?? {});
  return new Promise((resolve, reject) => {
    server.once('request', async (request, response) => {
      try {
        const rawBody = Buffer.concat(await request.toArray());
        request.rawBody = run.tampered ? Buffer.from(rawBody.toString().replace('COMPLETED', 'FAILED')) : rawBody;
        response.status = (code) => Object.assign(response, { statusCode: code });
        response.send = (text) => response.end(text);
        const answer = await trigger.webhook.call({
          getRequestObject: () => request,
          getResponseObject: () => response,
          getHeaderData: () => request.headers,
          getBodyData: () => JSON.parse(request.rawBody),
          getCredentials: async () => credentials,
          getNodeParameter: (name) => values[name],
        });
        if (!answer.noWebhookResponse) response.end('{"message":"Workflow was started"}');
        resolve({ status: response.statusCode, items: answer.workflowData?.[0] ?? [] });
      } catch (error) {
        reject(error);
      }
    });
  });
}

const filled = (value, given) =>
  JSON.parse(
    JSON.stringify(value ?? {}).replace(/"\$(\d+)((?:\.\w+)*)"/g, (_, number, names) =>
      JSON.stringify(names.split('.').filter(Boolean).reduce((found, name) => found[name], given[number].items[0].json)),
    ),
  );

async function main() {
  const { credentials, runs } = JSON.parse((await process.stdin.toArray()).join(''));
  const server = http.createServer();
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const own = `http://127.0.0.1:${server.address().port}/webhook`;
  const given = [];
  let waiting;
  for (const run of runs) {
    const parameters = JSON.parse(JSON.stringify(filled(run.parameters, given)).replaceAll('$webhook', own));
    const ready = { ...run, parameters };
    if (run.hook) waiting = hooked(nodes[run.hook], ready, credentials, server);
    given.push(run.hook ? { items: [] } : await outcome(ready, credentials, waiting));
    waiting = run.awaits ? undefined : waiting;
  }
  console.log(JSON.stringify(given));
  server.close();
  server.closeAllConnections();
}

async function outcome(run, credentials, waiting) {
  if (run.awaits) return await waiting;
  if (run.test) {
    const { request: asked } = credential.test;
    const options = { ...asked, baseURL: resolve(asked.baseURL, credentials), returnFullResponse: true, ignoreHttpStatusErrors: true };
    return { items: [], status: (await request({ ...credentials, ...run.test }, options)).statusCode };
  }
  const node = nodes[run.node];
  faults = [...(run.faults ?? [])];
  try {
    const [items] = await node.execute.call(execution(node.description, run, credentials));
    return { items };
  } catch (error) {
    return { items: [], error: { name: error.constructor.name, message: error.message, description: error.description, httpCode: error.httpCode } };
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
