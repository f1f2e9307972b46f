import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DescService, MessageInitShape } from '@bufbuild/protobuf';
import { type ConnectOptions, Connection } from './connection.js';
import { ofFile } from './errors.js';
import type { Asset, ListAssetsRequestSchema } from './gen/apigpu/v1/assets_pb.js';
import type { Job, JobOptionsSchema, ListJobsRequestSchema } from './gen/apigpu/v1/jobs_pb.js';
import { OperationSchema } from './gen/apigpu/v1/video_pb.js';
import * as jobs from './jobs.js';
import { kept } from './kept.js';
import type { CallOptions, ServiceClient } from './service.js';
import * as transfers from './transfers.js';
import type { TransferOptions, UploadOptions } from './transfers.js';

type OperationInit = NonNullable<MessageInitShape<typeof OperationSchema>['kind']>;
type NamedOperation = Exclude<OperationInit, { case: undefined }>;

/** "caption", "img2vid" and the others. */
export type OperationName = NonNullable<NamedOperation['case']>;
/** What an operation is asked with: the fields of its message, as docs/reference/grpc.md has them, in camel case. */
export type OperationRequest<N extends OperationName> = Extract<NamedOperation, { case: N }>['value'];
/** What goes with a job: who is told of it, what is noted on it, where its results are put. */
export type SubmitOptions = Omit<MessageInitShape<typeof JobOptionsSchema>, '$typeName' | '$unknown'> &
  Pick<CallOptions, 'signal'> & {
    /** Of submissions with the same key there is one job; one is made up when not given. */
    idempotencyKey?: string;
  };

type Operations = { [N in OperationName]: (request: OperationRequest<N>, options?: SubmitOptions) => Promise<Job> };

/** A method for each operation, which queues it and answers at once. */
export interface Client extends Operations {}

/** A connection to a gateway. Everything throws ServiceError, or the reason of the signal that ended it. */
export class Client {
  readonly #connection: Connection;

  constructor(options: ConnectOptions) {
    this.#connection = new Connection(options);
    for (const { localName } of OperationSchema.oneofs[0]?.fields ?? []) {
      const name = localName as OperationName;
      Object.assign(this, {
        [name]: (request: OperationRequest<typeof name>, options?: SubmitOptions) => this.submit(name, request, options),
      });
    }
  }

  /** Connect to a gateway. */
  static connect(options: ConnectOptions): Client {
    return new Client(options);
  }

  /** Connect to the pair that `api-gpu up` runs on this machine, with the certificates and the key of its data folder. */
  static local(dataFolder = '.api-gpu'): Client {
    const certificates = join(dataFolder, 'certs');
    return new Client({
      target: localTarget(dataFolder),
      key: localKey(dataFolder),
      ca: join(certificates, 'ca.crt'),
      certificate: join(certificates, 'client.crt'),
      privateKey: join(certificates, 'client.key'),
    });
  }

  /** Queue an operation by its name; `client.caption(…)` and the others do this. */
  async submit<N extends OperationName>(name: N, request: OperationRequest<N>, options: SubmitOptions = {}): Promise<Job> {
    const { idempotencyKey = '', signal, ...told } = options;
    const operation = { kind: { case: name, value: request } as NamedOperation };
    return jobs.submit(this.#connection, operation, idempotencyKey, told, { signal });
  }

  /** Read a job. */
  get(id: string, options: CallOptions = {}): Promise<Job> {
    return jobs.get(this.#connection, id, options);
  }

  /** The jobs that are wanted, the newest first; all when nothing is said. */
  jobs(wanted: MessageInitShape<typeof ListJobsRequestSchema> = {}, options: CallOptions = {}): AsyncGenerator<Job> {
    return jobs.list(this.#connection, wanted, options);
  }

  /** What happens to a job from now to its end, across restarts of the gateway. Leaving the loop ends no job. */
  watch(id: string, options: CallOptions = {}): AsyncGenerator<jobs.JobEvent> {
    return jobs.watch(this.#connection, id, options);
  }

  /** Wait for a job, and return it completed. Throws the error that it failed with. */
  wait(id: string, options: CallOptions = {}): Promise<Job> {
    return jobs.wait(this.#connection, id, options);
  }

  /** Queue a job anew that has ended, with the same inputs and options; the answer is the new one. */
  retry(id: string, options: CallOptions & { idempotencyKey?: string } = {}): Promise<Job> {
    const { idempotencyKey = '', ...call } = options;
    return jobs.retry(this.#connection, id, idempotencyKey, call);
  }

  /** Cancel a job. Throws FAILED_PRECONDITION when it has ended. */
  cancel(id: string, options: CallOptions = {}): Promise<void> {
    return jobs.cancel(this.#connection, id, options);
  }

  /** Send a local file; it goes on where it was cut. The asset's `name` is what operations take. */
  upload(path: string, options: UploadOptions = {}): Promise<Asset> {
    return transfers.upload(this.#connection, path, options);
  }

  /** The asset that a local file is already, by its name, size and SHA-256, of whose time at least half is left. Undefined
   * where there is none, and for files below 8 MiB. */
  kept(path: string, options: CallOptions = {}): Promise<Asset | undefined> {
    return kept(this.#connection, path, options);
  }

  /** Send what a stream gives, under a file name; cut off, it cannot go on. */
  uploadStream(source: AsyncIterable<Uint8Array>, filename: string, options: CallOptions = {}): Promise<Asset> {
    return transfers.uploadStream(this.#connection, source, filename, options);
  }

  /** Write an asset to a file, which appears only when size and SHA-256 are right. */
  download(asset: string, path: string, options: TransferOptions = {}): Promise<void> {
    return transfers.download(this.#connection, asset, path, options);
  }

  /** The bytes of an asset, as they come; throws DATA_LOSS at the end for other bytes than those of the asset. */
  read(asset: string, options: TransferOptions = {}): AsyncGenerator<Uint8Array> {
    return transfers.read(this.#connection, asset, options);
  }

  /** Describe an asset. */
  asset(name: string, options: CallOptions = {}): Promise<Asset> {
    return transfers.describe(this.#connection, name, options);
  }

  /** The assets that are wanted, the newest first; all when nothing is said. */
  assets(wanted: MessageInitShape<typeof ListAssetsRequestSchema> = {}, options: CallOptions = {}): AsyncGenerator<Asset> {
    return transfers.list(this.#connection, wanted, options);
  }

  /** Delete an asset. */
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return transfers.remove(this.#connection, name, options);
  }

  /** A client of one of the services of the API, for all that this class does not do. */
  service<S extends DescService>(service: S): ServiceClient<S> {
    return this.#connection.service(service);
  }

  /** End the connection. Jobs go on. */
  close(): void {
    this.#connection.close();
  }
}

// Where the last `up` of a data folder served.
function localTarget(dataFolder: string): string {
  try {
    return JSON.parse(readFileSync(join(dataFolder, 'up.lock'), 'utf8')).grpc;
  } catch {
    return 'localhost:50051';
  }
}

// The one that the environment names, as it names it for the gateway, else that of the data folder.
function localKey(dataFolder: string): string {
  const file = process.env['X_API_KEY_FILE'];
  const keys = process.env['X_API_KEY'] || (file ? readText(file) : '');
  return keys.split(',')[0]?.trim() || readText(join(dataFolder, 'key'));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw ofFile(error, 'read', path);
  }
}
