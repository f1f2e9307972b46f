import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Connection } from './connection.js';
import { ofFile, ServiceError } from './errors.js';
import { type Asset, AssetService } from './gen/apigpu/v1/assets_pb.js';
import type { CallOptions } from './service.js';

// Smaller files are sent as soon as they are looked for.
const MIN_BYTES = 8 * 1024 * 1024;
const PAGE_ASSETS = 100;

/** The asset of the caller that a local file is, by its name, size and SHA-256, of whose time at least half is left;
 * undefined where there is none, and for a small file. A file is read only where one of its name and size is there. */
export async function kept(connection: Connection, path: string, options: CallOptions): Promise<Asset | undefined> {
  try {
    const status = await stat(path, { bigint: true });
    if (!status.isFile() || status.size < MIN_BYTES) return undefined;
    const found = await namedAlike(connection, basename(path), status.size, options);
    if (found.length === 0) return undefined;
    const digest = await digestOf(path, options.signal);
    const now = await stat(path, { bigint: true });
    if (now.size !== status.size || now.mtimeNs !== status.mtimeNs) return undefined; // it is being written
    const same = found.find(({ sha256 }) => sha256 === digest);
    return same && (await stillThere(connection, same.name, options));
  } catch (error) {
    throw ofFile(error, 'read', path);
  }
}

async function namedAlike(connection: Connection, filename: string, sizeBytes: bigint, options: CallOptions): Promise<Asset[]> {
  const request = { sizeBytes, pageSize: PAGE_ASSETS };
  const page = await unlessRefused(connection.service(AssetService).listAssets(request, options));
  // A gateway of an earlier version lists files of any size.
  return (page?.assets ?? []).filter((asset) => asset.sizeBytes === sizeBytes && asset.filename === filename && lasts(asset));
}

// A list may have what was deleted a moment ago.
async function stillThere(connection: Connection, name: string, options: CallOptions): Promise<Asset | undefined> {
  return (await unlessRefused(connection.service(AssetService).getAsset({ name }, options)))?.asset;
}

/** What a call answers; undefined where it is refused, as to a key that may not list: the upload tells what is wrong. */
async function unlessRefused<T>(call: Promise<T>): Promise<T | undefined> {
  return await call.catch((error: unknown) => {
    if (error instanceof ServiceError) return undefined;
    throw error;
  });
}

async function digestOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest, signal ? { signal } : {});
  return digest.digest('hex');
}

function lasts({ createTime, expireTime }: Asset): boolean {
  if (!createTime || !expireTime) return true;
  const [begun, end] = [timestampMs(createTime), timestampMs(expireTime)];
  return end - Date.now() >= (end - begun) / 2;
}
