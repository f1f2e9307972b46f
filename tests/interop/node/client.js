// Captions a video: uploads it and its subtitles, follows the job, downloads the result.
//
//   X_API_KEY=… node client.js TARGET CERTS VIDEO SRT OUT
//
// TARGET is host:port, CERTS a folder with ca.crt, client.crt and client.key.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { download, upload } from './files.js';

const ROOT = join(import.meta.dirname, '../../..');
const DEADLINE_MS = 300_000;

const protos = grpc.loadPackageDefinition(
  loadSync(['apigpu/v1/assets.proto', 'apigpu/v1/jobs.proto'], {
    includeDirs: [join(ROOT, 'protos')],
    keepCase: true, // the fields' names as they stand in the protos
    enums: String,
    longs: Number, // a size in bytes is exact up to 2^53
    oneofs: true, // `message.event` names the field that is set
  }),
).apigpu.v1;

// Trusts ca.crt, presents client.crt, sends the key with every call.
function credentials(certs, apiKey) {
  const [ca, key, certificate] = ['ca.crt', 'client.key', 'client.crt'].map((name) => readFileSync(join(certs, name)));
  const withKey = grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata();
    metadata.set('x-api-key', apiKey);
    done(null, metadata);
  });
  return grpc.credentials.combineChannelCredentials(grpc.credentials.createSsl(ca, key, certificate), withKey);
}

async function caption(jobs, url_video, url_srt, deadline) {
  const submitJob = promisify(jobs.submitJob.bind(jobs));
  const { job } = await submitJob({ operation: { caption: { url_video, url_srt } } }, { deadline });
  const ended = await watch(jobs, job.id, deadline);
  if (ended.status !== 'COMPLETED') throw new Error(`job ${ended.id}: ${ended.status}: ${ended.error.message}`);
  return ended;
}

async function watch(jobs, id, deadline) {
  let progress = 0;
  for await (const message of jobs.watchJob({ id }, { deadline })) {
    if (message.event === 'progress') progress += 1;
    if (message.event === 'finished') {
      console.error(`${progress} progress events, ${message.finished.status}`);
      return message.finished;
    }
  }
  throw new Error(`job ${id}: the watch ended before the job`);
}

async function main([target, certs, video, srt, out]) {
  const deadline = Date.now() + DEADLINE_MS;
  const identity = credentials(certs, process.env.X_API_KEY ?? '');
  const assets = new protos.AssetService(target, identity);
  const jobs = new protos.JobService(target, identity);
  const names = [await upload(assets, video, deadline), await upload(assets, srt, deadline)];
  const job = await caption(jobs, ...names, deadline);
  const asset = await download(assets, job.output.asset, out, deadline);
  console.log(JSON.stringify({ job: job.id, status: job.status, bytes: asset.size_bytes, sha256: asset.sha256 }));
  assets.close();
  jobs.close();
}

const args = process.argv.slice(2);
if (args.length !== 5) {
  console.error('usage: X_API_KEY=… node client.js TARGET CERTS VIDEO SRT OUT');
  process.exit(2);
}
main(args).catch((error) => {
  console.error(error.message); // of gRPC: '16 UNAUTHENTICATED: …'
  process.exit(1);
});
