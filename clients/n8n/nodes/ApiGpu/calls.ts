import {
  type IDataObject,
  type IExecuteFunctions,
  type IHttpRequestOptions,
  type IN8nHttpFullResponse,
  type INodeExecutionData,
  NodeApiError,
} from 'n8n-workflow';

const CREDENTIAL = 'apiGpuApi';
// Seconds that one question waits for the end of a job; the answer has to come before any proxy gives up.
const WAIT_SECONDS = 50;
const CALL_MS = 120_000;
const CHUNK_BYTES = 256 * 1024;
const UNDER_WAY = ['IN_QUEUE', 'IN_PROGRESS'];

type Content = Parameters<IExecuteFunctions['helpers']['prepareBinaryData']>[0];

interface Job extends IDataObject {
  id: string;
  status: string;
}

/** The calls of one item of a workflow. */
export class Calls {
  constructor(
    private readonly node: IExecuteFunctions,
    private readonly item: number,
  ) {}

  /** Queue an operation; the answer is the queued job. */
  async submit(body: IDataObject): Promise<Job> {
    return (await this.call({ method: 'POST', url: '/jobs', body, json: true })) as Job;
  }

  async job(id: string, waitSeconds = 0): Promise<Job> {
    const headers: IDataObject = waitSeconds > 0 ? { Prefer: `wait=${waitSeconds}` } : {};
    return (await this.call({ method: 'GET', url: `/job/${encodeURIComponent(id)}`, headers, json: true })) as Job;
  }

  async retry(id: string): Promise<Job> {
    return (await this.call({ method: 'POST', url: `/job/${encodeURIComponent(id)}/retry`, json: true })) as Job;
  }

  async cancel(id: string): Promise<IDataObject> {
    return await this.call({ method: 'POST', url: `/job/${encodeURIComponent(id)}/cancel`, json: true });
  }

  /** Wait for the end of a job; throws what it failed with. A workflow that is stopped cancels it. */
  async ended(queued: Job): Promise<Job> {
    let job = queued;
    while (UNDER_WAY.includes(job.status)) {
      if (this.node.getExecutionCancelSignal()?.aborted) {
        await this.cancel(job.id);
        throw this.error('The workflow was stopped, and its job with it', job);
      }
      job = await this.job(job.id, WAIT_SECONDS);
    }
    if (job.status === 'COMPLETED') return job;
    const failure = (job.error ?? {}) as IDataObject;
    throw this.error(String(failure.message ?? `The job is ${job.status}`), { ...failure, job: job.id });
  }

  async upload(property: string): Promise<IDataObject> {
    const binary = this.node.helpers.assertBinaryData(this.item, property);
    const body = binary.id
      ? await this.node.helpers.getBinaryStream(binary.id, CHUNK_BYTES)
      : Buffer.from(binary.data, 'base64');
    const url = `/assets/${encodeURIComponent(binary.fileName ?? 'file')}`;
    return await this.call({ method: 'PUT', url, body, headers: { 'Content-Type': binary.mimeType } });
  }

  async download(asset: string, property: string): Promise<INodeExecutionData> {
    const described = await this.call({ method: 'GET', url: `/${asset}`, json: true });
    const content = await this.answer({ method: 'GET', url: `/${asset}/content`, encoding: 'stream', timeout: 0 });
    const [name, type] = [String(described.filename || 'file'), String(described.contentType)];
    const binary = await this.node.helpers.prepareBinaryData(content.body as Content, name, type);
    return { json: described, binary: { [property]: binary }, pairedItem: { item: this.item } };
  }

  private async call(options: IHttpRequestOptions): Promise<IDataObject> {
    const { body } = await this.answer(options);
    return (typeof body === 'string' ? JSON.parse(body) : body) as IDataObject;
  }

  private async answer(options: IHttpRequestOptions): Promise<IN8nHttpFullResponse> {
    const { url } = await this.node.getCredentials(CREDENTIAL);
    const answer = (await this.node.helpers.httpRequestWithAuthentication.call(this.node, CREDENTIAL, {
      timeout: CALL_MS,
      ...options,
      baseURL: String(url).replace(/\/+$/, ''),
      returnFullResponse: true,
      ignoreHttpStatusErrors: true,
    })) as IN8nHttpFullResponse;
    if (answer.statusCode < 400) return answer;
    throw this.refused(answer);
  }

  /** The error of a call, of which the service says what is wrong and what to do. */
  private refused({ statusCode, body }: IN8nHttpFullResponse): NodeApiError {
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

function safelyParsed(text: string): IDataObject {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.slice(0, 500) };
  }
}
