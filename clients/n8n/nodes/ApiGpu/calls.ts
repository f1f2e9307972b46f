import {
  type IBinaryData,
  type IDataObject,
  type IExecuteFunctions,
  type IHttpRequestOptions,
  type IN8nHttpFullResponse,
  type INodeExecutionData,
  NodeApiError,
  sleepWithAbort,
} from 'n8n-workflow';
import { createHash, randomUUID } from 'node:crypto';

const CREDENTIAL = 'apiGpuApi';
// Seconds that one question waits for the end of a job; the answer has to come before any proxy gives up.
const WAIT_SECONDS = 50;
const CALL_MS = 120_000;
const CHUNK_BYTES = 256 * 1024;
// Smaller files are sent as soon as they are looked for.
const MIN_KEPT_BYTES = 8 * 1024 * 1024;
const PAGE_ASSETS = 100;
const UNDER_WAY = ['IN_QUEUE', 'IN_PROGRESS'];
// What a gateway, or a proxy before it, answers while it starts anew or has too much to do.
const PASSING = [429, 502, 503, 504];
// How long a call is tried again that meets such answers, or no gateway.
const RETRY_SECONDS = 60;
const FIRST_PAUSE_SECONDS = 0.5;
const MAX_PAUSE_SECONDS = 10;

type Stream = Awaited<ReturnType<IExecuteFunctions['helpers']['getBinaryStream']>>;
type Content = Parameters<IExecuteFunctions['helpers']['prepareBinaryData']>[0];

interface Job extends IDataObject {
  id: string;
  status: string;
}

type Call = Omit<IHttpRequestOptions, 'body'> & { body?: () => Promise<IHttpRequestOptions['body']> };

/** The calls of one item of a workflow. Each is made again while the gateway is away. */
export class Calls {
  // By which the gateway knows a job that it is asked for again, as its answer was lost.
  private readonly once = { 'Idempotency-Key': randomUUID() };

  constructor(
    private readonly node: IExecuteFunctions,
    private readonly item: number,
  ) {}

  /** Queue an operation; the answer is the queued job. */
  async submit(body: IDataObject): Promise<Job> {
    return (await this.call({ method: 'POST', url: '/jobs', headers: this.once, body: async () => body, json: true })) as Job;
  }

  async job(id: string, waitSeconds = 0): Promise<Job> {
    const headers: IDataObject = waitSeconds > 0 ? { Prefer: `wait=${waitSeconds}` } : {};
    return (await this.call({ method: 'GET', url: `/job/${encodeURIComponent(id)}`, headers, json: true })) as Job;
  }

  async retry(id: string): Promise<Job> {
    const url = `/job/${encodeURIComponent(id)}/retry`;
    return (await this.call({ method: 'POST', url, headers: this.once, json: true })) as Job;
  }

  async cancel(id: string): Promise<IDataObject> {
    const call: Call = { method: 'POST', url: `/job/${encodeURIComponent(id)}/cancel`, json: true };
    return await this.call(call, null); // also where the workflow was stopped
  }

  /** Wait for the end of a job; throws what it failed with. A workflow that is stopped cancels it. */
  async ended(queued: Job): Promise<Job> {
    let job = queued;
    while (UNDER_WAY.includes(job.status)) {
      const told = await unlessStopped(this.stopped, this.job(job.id, WAIT_SECONDS));
      if (told === undefined) {
        await this.cancel(job.id);
        throw this.error('The workflow was stopped, and its job with it', job);
      }
      job = told;
    }
    if (job.status === 'COMPLETED') return job;
    const failure = (job.error ?? {}) as IDataObject;
    throw this.error(String(failure.message ?? `The job is ${job.status}`), { ...failure, job: job.id });
  }

  async upload(property: string, reuse: boolean): Promise<IDataObject> {
    const binary = this.node.helpers.assertBinaryData(this.item, property);
    const found = reuse ? await this.kept(binary) : undefined;
    if (found) return found;
    // Opened for each try, as what is left of a stream that was cut is not the file. Of a lost answer a second file stays, until it expires.
    const body = async () => await this.content(binary);
    const url = `/assets/${encodeURIComponent(nameOf(binary))}`;
    return await this.call({ method: 'PUT', url, body, headers: { 'Content-Type': binary.mimeType } });
  }

  /** The file that the service has already, by name, size and SHA-256; undefined where it has none, and for a small one. */
  private async kept(binary: IBinaryData): Promise<IDataObject | undefined> {
    const size = await this.sizeOf(binary);
    if (size < MIN_KEPT_BYTES) return undefined;
    const page = await this.unlessRefused({ url: '/assets', qs: { size_bytes: size, page_size: PAGE_ASSETS } });
    const found = ((page?.assets ?? []) as IDataObject[]).filter(
      // A gateway of an earlier version lists files of any size.
      (asset) => Number(asset.sizeBytes) === size && asset.filename === nameOf(binary) && lasts(asset),
    );
    const digest = found.length > 0 ? await digestOf(await this.content(binary)) : '';
    const same = found.find(({ sha256 }) => sha256 === digest);
    return same && (await this.unlessRefused({ url: `/${same.name}` })); // a list may have what was deleted a moment ago
  }

  private async sizeOf({ id, data }: IBinaryData): Promise<number> {
    return id ? (await this.node.helpers.getBinaryMetadata(id)).fileSize : Buffer.byteLength(data, 'base64');
  }

  private async content({ id, data }: IBinaryData): Promise<Buffer | Stream> {
    return id ? await this.node.helpers.getBinaryStream(id, CHUNK_BYTES) : Buffer.from(data, 'base64');
  }

  /** What a question is answered; undefined where it is not, as to a key that may not list: the upload tells what is wrong. */
  private async unlessRefused(question: Call): Promise<IDataObject | undefined> {
    const answer = await this.tried({ method: 'GET', json: true, ...question }).catch(() => undefined);
    return answer && answer.statusCode < 400 ? (answer.body as IDataObject) : undefined;
  }

  async download(asset: string, property: string): Promise<INodeExecutionData> {
    const described = await this.call({ method: 'GET', url: `/${asset}`, json: true });
    const content = await this.answer({ method: 'GET', url: `/${asset}/content`, encoding: 'stream', timeout: 0 });
    const [name, type] = [String(described.filename || 'file'), String(described.contentType)];
    const binary = await this.node.helpers.prepareBinaryData(content.body as Content, name, type);
    return { json: described, binary: { [property]: binary }, pairedItem: { item: this.item } };
  }

  private get stopped(): AbortSignal | null {
    return this.node.getExecutionCancelSignal() ?? null;
  }

  private async call(call: Call, stopped = this.stopped): Promise<IDataObject> {
    const { body } = await this.answer(call, stopped);
    return (typeof body === 'string' ? JSON.parse(body) : body) as IDataObject;
  }

  /** Make a call until the gateway has answered it, or has been away for too long. */
  private async answer(call: Call, stopped = this.stopped): Promise<IN8nHttpFullResponse> {
    const until = Date.now() + RETRY_SECONDS * 1000;
    for (let failures = 0; ; failures++) {
      const answer = await this.tried(call).catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.statusCode < 400) return answer;
      const pauseMs = 1000 * pauseSeconds(failures, answer);
      const isPassing = answer instanceof Error || PASSING.includes(answer.statusCode);
      if (!isPassing || stopped?.aborted || Date.now() + pauseMs > until) throw this.refused(answer);
      await sleepWithAbort(pauseMs, stopped ?? undefined).catch(() => undefined);
    }
  }

  private async tried({ body, ...options }: Call): Promise<IN8nHttpFullResponse> {
    const { url } = await this.node.getCredentials(CREDENTIAL);
    return (await this.node.helpers.httpRequestWithAuthentication.call(this.node, CREDENTIAL, {
      timeout: CALL_MS,
      ...options,
      ...(body ? { body: await body() } : {}),
      baseURL: String(url).replace(/\/+$/, ''),
      returnFullResponse: true,
      ignoreHttpStatusErrors: true,
    })) as IN8nHttpFullResponse;
  }

  /** The error of a call, of which the service says what is wrong and what to do. */
  private refused(answer: IN8nHttpFullResponse | Error): NodeApiError {
    if (answer instanceof Error) return this.error(`The gateway does not answer: ${answer.message}`, {});
    const { statusCode, body } = answer;
    const told = typeof body === 'string' ? safelyParsed(body) : (body as IDataObject);
    return this.error(String(told.message ?? `The gateway answered with ${statusCode}`), told, String(statusCode));
  }

  private error(message: string, told: IDataObject, httpCode?: string): NodeApiError {
    const details = (told.details ?? []) as IDataObject[];
    const reason = told.reason ?? details.find((detail) => detail.reason)?.reason;
    const fields = details.flatMap((detail) => (detail.fieldViolations ?? []) as IDataObject[]);
    const lines = [reason, ...fields.map(({ field, description }) => `${field}: ${description}`)];
    const description = lines.filter(Boolean).join('\n');
    const options = { message, description, itemIndex: this.item, ...(httpCode ? { httpCode } : {}) };
    return new NodeApiError(this.node.getNode(), told as never, options);
  }
}

function nameOf(binary: IBinaryData): string {
  return binary.fileName ?? 'file';
}

async function digestOf(content: Buffer | Stream): Promise<string> {
  const digest = createHash('sha256');
  for await (const part of Buffer.isBuffer(content) ? [content] : content) digest.update(part as Buffer);
  return digest.digest('hex');
}

/** Whether at least half of the time that a file is kept is left. */
function lasts({ createTime, expireTime }: IDataObject): boolean {
  const [begun, end] = [Date.parse(String(createTime)), Date.parse(String(expireTime))];
  return Number.isNaN(begun + end) || end - Date.now() >= (end - begun) / 2;
}

function safelyParsed(text: string): IDataObject {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.slice(0, 500) };
  }
}

/** What a promise gives; undefined as soon as the workflow is stopped. */
async function unlessStopped<T>(signal: AbortSignal | null, wanted: Promise<T>): Promise<T | undefined> {
  if (!signal) return await wanted;
  wanted.catch(() => undefined); // where it fails after the stop, nobody asks
  if (signal.aborted) return undefined;
  let stop: () => void = () => undefined;
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
    signal.addEventListener('abort', stop);
  });
  return await Promise.race([wanted, stopped]).finally(() => signal.removeEventListener('abort', stop));
}

/** How long to wait after so many failures: what the gateway says, else twice as long each time. */
function pauseSeconds(failures: number, answer: IN8nHttpFullResponse | Error): number {
  const told = answer instanceof Error ? Number.NaN : Number(answer.headers['retry-after']);
  const pause = told > 0 ? told : Math.min(FIRST_PAUSE_SECONDS * 2 ** failures, MAX_PAUSE_SECONDS);
  return pause * (1 + Math.random() / 4);
}
