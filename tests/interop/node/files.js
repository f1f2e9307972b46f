import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CHUNK_BYTES = 512 * 1024;

// Stores a file; the name of the asset.
export function upload(assets, path, deadline) {
  return new Promise((resolve, reject) => {
    const call = assets.uploadAsset({ deadline }, (error, answer) => (error ? reject(error) : resolve(answer.asset.name)));
    pipeline(Readable.from(parts(path)), call).catch(reject);
  });
}

// The messages of an upload: header, chunks, finish.
async function* parts(path) {
  const digest = createHash('sha256');
  let size_bytes = 0;
  yield { header: { filename: basename(path) } };
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    digest.update(chunk);
    size_bytes += chunk.length;
    yield { chunk };
  }
  yield { finish: { size_bytes, sha256: digest.digest('hex') } };
}

// Writes an asset to a file; an error when size or digest are not those of the asset.
export async function download(assets, name, path, deadline) {
  const digest = createHash('sha256');
  let asset;
  let size = 0;
  await pipeline(
    assets.downloadAsset({ name }, { deadline }),
    async function* (messages) {
      for await (const message of messages) {
        if (message.part === 'asset') asset = message.asset;
        if (message.part !== 'chunk') continue;
        digest.update(message.chunk);
        size += message.chunk.length;
        yield message.chunk;
      }
    },
    createWriteStream(path),
  );
  if (size !== asset.size_bytes || digest.digest('hex') !== asset.sha256) {
    throw new Error(`${name}: ${size} bytes came of ${asset.size_bytes}, or their SHA-256 differs`);
  }
  return asset;
}
