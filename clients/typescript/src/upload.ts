import { Buffer } from 'node:buffer';
import { createHash, randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Connection } from './connection.js';
import { ServiceError } from './errors.js';
import { type Asset, AssetService } from './gen/apigpu/v1/assets_pb.js';
import { type Upload, UploadService } from './gen/apigpu/v1/uploads_pb.js';
import { ByteStream, type WriteRequestSchema } from './gen/google/bytestream/bytestream_pb.js';
import { mayGoOn, Retries } from './retries.js';
import type { CallOptions } from './service.js';
import type { TransferOptions } from './transfers.js';

const CHUNK_BYTES = 1024 * 1024;
const END_MS = 2000;

/** A local file on its way to the gateway, over as many calls as it takes. It is digested as it is sent. */
export class FileUpload {
  #name = '';
  #sentBytes = 0;
  #digest = createHash('sha256');
  #digestedBytes = 0;
  readonly #size: number;

  private constructor(
    readonly connection: Connection,
    readonly path: string,
    readonly file: FileHandle,
    readonly status: BigIntStats,
    readonly options: TransferOptions,
  ) {
    this.#size = Number(status.size);
  }

  /** An upload of an open file. Throws FAILED_PRECONDITION for what is no regular file. */
  static async of(connection: Connection, path: string, file: FileHandle, options: TransferOptions): Promise<FileUpload> {
    const status = await file.stat({ bigint: true });
    if (!status.isFile()) throw localFile(`${path} is no regular file; send it with uploadStream.`);
    return new FileUpload(connection, path, file, status, options);
  }

  /** Send the file, going on after cuts. The gateway keeps nothing of what failed, where it can be told. */
  async run(): Promise<Asset> {
    await this.#create();
    try {
      return await this.#verified(await this.#send());
    } catch (error) {
      await this.#forget();
      throw error;
    }
  }

  async #create(): Promise<void> {
    const uploads = this.connection.service(UploadService);
    const request = { filename: basename(this.path), sizeBytes: BigInt(this.#size) };
    const call = { ...this.options, metadata: { 'idempotency-key': randomUUID() } };
    const { upload } = await this.connection.untilAnswered(call, () => uploads.createUpload(request, call));
    this.#name = (upload as Upload).name;
  }

  async #send(): Promise<Asset> {
    const retries = new Retries(this.connection);
    for (let offset = 0; ; ) {
      const failure = await this.#sendFrom(offset);
      if (failure && !(mayGoOn(failure) && (await retries.allow(this.options.signal)))) throw failure;
      const upload = await this.#kept();
      if (upload?.asset) return upload.asset;
      offset = Number(upload?.committedSize ?? 0);
      retries.gotOn(offset);
      if (!failure) throw localFile(`${this.path} became shorter while it was sent; upload it again.`);
    }
  }

  /** Why sending from an offset on failed, if it did. */
  async #sendFrom(offset: number): Promise<unknown> {
    try {
      await this.connection.service(ByteStream).write(this.#messages(offset), this.options);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async *#messages(offset: number): AsyncGenerator<MessageInitShape<typeof WriteRequestSchema>> {
    const resourceName = this.#name;
    await this.#check();
    do {
      const data = await this.#readAt(offset);
      this.#addToDigest(data, offset);
      const end = offset + data.length;
      yield { resourceName, writeOffset: BigInt(offset), data, finishWrite: end >= this.#size };
      this.#tell(end);
      offset = end;
    } while (offset < this.#size);
  }

  async #readAt(offset: number): Promise<Buffer> {
    const wanted = Math.min(CHUNK_BYTES, this.#size - offset);
    const { bytesRead, buffer } = await this.file.read(Buffer.allocUnsafe(wanted), 0, wanted, offset);
    if (bytesRead === 0 && wanted > 0) throw localFile(`${this.path} became shorter while it was sent; upload it again.`);
    return buffer.subarray(0, bytesRead);
  }

  // Bytes that are sent again were digested before.
  #addToDigest(data: Buffer, offset: number): void {
    const fresh = data.subarray(Math.max(this.#digestedBytes - offset, 0));
    this.#digest.update(fresh);
    this.#digestedBytes += fresh.length;
  }

  #tell(sentBytes: number): void {
    if (sentBytes <= this.#sentBytes) return;
    this.#sentBytes = sentBytes;
    this.options.onBytes?.(sentBytes, this.#size);
  }

  /** What the gateway has; undefined after an upload that it does not know any more was begun anew. */
  async #kept(): Promise<Upload | undefined> {
    const [name, uploads] = [this.#name, this.connection.service(UploadService)];
    try {
      return (await this.connection.untilAnswered(this.options, () => uploads.getUpload({ name }, this.options))).upload;
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== 'NOT_FOUND') throw error;
      await this.#create();
      return undefined;
    }
  }

  async #verified(asset: Asset): Promise<Asset> {
    try {
      await this.#check();
      if (this.#digestedBytes !== this.#size || this.#digest.digest('hex') !== asset.sha256) {
        throw new ServiceError('DATA_LOSS', `${this.path}: other bytes arrived than were sent; upload it again.`);
      }
      return asset;
    } catch (error) {
      await this.#quietly((call) => this.connection.service(AssetService).deleteAsset({ name: asset.name }, call));
      throw error;
    }
  }

  /** Throw FAILED_PRECONDITION once the file was changed. */
  async #check(): Promise<void> {
    const now = await this.file.stat({ bigint: true });
    if (now.size !== this.status.size || now.mtimeNs !== this.status.mtimeNs) {
      throw localFile(`${this.path} was changed while it was sent; upload it again.`);
    }
  }

  async #forget(): Promise<void> {
    await this.#quietly((call) => this.connection.service(UploadService).deleteUpload({ name: this.#name }, call));
  }

  async #quietly(tell: (call: CallOptions) => Promise<unknown>): Promise<void> {
    await tell({ timeoutMs: END_MS }).catch(() => undefined);
  }
}

function localFile(message: string): ServiceError {
  return new ServiceError('FAILED_PRECONDITION', message, { reason: 'LOCAL_FILE' });
}
