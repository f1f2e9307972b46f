import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { rename, rm, open, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Connection } from './connection.js';
import { ofFile, ServiceError } from './errors.js';
import { type Asset, AssetService, type ListAssetsRequestSchema, type UploadAssetRequestSchema } from './gen/apigpu/v1/assets_pb.js';
import { kept } from './kept.js';
import { mayGoOn, Retries } from './retries.js';
import type { CallOptions } from './service.js';
import { FileUpload } from './upload.js';

const CHUNK_BYTES = 1024 * 1024;
const PAGE_ASSETS = 100;

/** How a file is sent or received. */
export interface TransferOptions extends CallOptions {
  /** Called with the bytes passed so far, and those of the whole file. */
  onBytes?: (passed: number, total: number) => void;
}

/** How a file is sent. */
export interface UploadOptions extends TransferOptions {
  /** Whether a large file that the gateway has already is not sent again (see `Client.kept`). */
  reuse?: boolean;
}

/** Send a local file; it goes on where it was cut. */
export async function upload(connection: Connection, path: string, options: UploadOptions): Promise<Asset> {
  const found = options.reuse ? await kept(connection, path, options) : undefined;
  if (found) return found;
  try {
    const file = await open(path, 'r');
    try {
      return await (await FileUpload.of(connection, path, file, options)).run();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw ofFile(error, 'read', path);
  }
}

/** Send what a stream gives; cut off, it cannot go on. */
export async function uploadStream(
  connection: Connection,
  source: AsyncIterable<Uint8Array>,
  filename: string,
  options: CallOptions,
): Promise<Asset> {
  const { asset } = await connection.service(AssetService).uploadAsset(parts(source, filename), options);
  return asset as Asset;
}

async function* parts(
  source: AsyncIterable<Uint8Array>,
  filename: string,
): AsyncGenerator<MessageInitShape<typeof UploadAssetRequestSchema>> {
  const digest = createHash('sha256');
  let size = 0;
  yield { part: { case: 'header', value: { filename: basename(filename) } } };
  for await (const data of source) {
    digest.update(data);
    size += data.length;
    for (let start = 0; start < data.length; start += CHUNK_BYTES) {
      yield { part: { case: 'chunk', value: data.subarray(start, start + CHUNK_BYTES) } };
    }
  }
  yield { part: { case: 'finish', value: { sizeBytes: BigInt(size), sha256: digest.digest('hex') } } };
}

/** Describe an asset. */
export async function describe(connection: Connection, name: string, options: CallOptions): Promise<Asset> {
  const assets = connection.service(AssetService);
  return (await connection.untilAnswered(options, () => assets.getAsset({ name }, options))).asset as Asset;
}

/** The assets that are wanted, the newest first, fetched in pages as they are needed. */
export async function* list(
  connection: Connection,
  wanted: MessageInitShape<typeof ListAssetsRequestSchema>,
  options: CallOptions,
): AsyncGenerator<Asset> {
  const assets = connection.service(AssetService);
  for (let pageToken = ''; ; ) {
    const request = { pageSize: PAGE_ASSETS, ...wanted, ...(pageToken && { pageToken }) };
    const page = await connection.untilAnswered(options, () => assets.listAssets(request, options));
    yield* page.assets;
    pageToken = page.nextPageToken;
    if (!pageToken) return;
  }
}

/** Delete an asset. */
export async function remove(connection: Connection, name: string, options: CallOptions): Promise<void> {
  await connection.service(AssetService).deleteAsset({ name }, options);
}

/** The bytes of an asset; what breaks off goes on where it was. Throws DATA_LOSS, at the end, for other bytes. */
export async function* read(connection: Connection, name: string, options: TransferOptions): AsyncGenerator<Uint8Array> {
  const [assets, retries, digest] = [connection.service(AssetService), new Retries(connection), createHash('sha256')];
  let asset: Asset | undefined;
  let size = 0;
  while (asset === undefined || size < Number(asset.sizeBytes)) {
    try {
      const request = { name, offset: BigInt(size) };
      for await (const { part } of assets.downloadAsset(request, options)) {
        if (part.case === 'asset') asset ??= part.value;
        if (part.case !== 'chunk') continue;
        digest.update(part.value);
        size += part.value.length;
        yield part.value;
        options.onBytes?.(size, Number(asset?.sizeBytes ?? 0));
      }
      if (asset && size >= Number(asset.sizeBytes)) break;
      throw new ServiceError('UNAVAILABLE', `${name}: the download ended before the file did`, { reason: 'CUT_OFF' });
    } catch (error) {
      retries.gotOn(size);
      if (!mayGoOn(error) || !(await retries.allow(options.signal))) throw error;
    }
  }
  if (size !== Number(asset.sizeBytes) || digest.digest('hex') !== asset.sha256) {
    throw new ServiceError('DATA_LOSS', `${name}: the bytes that came are not those of the file; download it again.`);
  }
}

/** Write an asset to a file, which appears only when all of it is there and right. */
export async function download(connection: Connection, name: string, path: string, options: TransferOptions): Promise<void> {
  const part = join(dirname(path), `.${basename(path)}.${name.replace(/^assets\//, '')}.part`);
  try {
    const file = await open(part, 'w');
    try {
      for await (const data of read(connection, name, options)) await writeAll(file, data);
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw ofFile(error, 'write', path);
  }
}

async function writeAll(file: FileHandle, data: Uint8Array): Promise<void> {
  for (let left = Buffer.from(data.buffer, data.byteOffset, data.byteLength); left.length > 0; ) {
    left = left.subarray((await file.write(left)).bytesWritten);
  }
}
