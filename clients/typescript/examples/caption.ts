// Captions a video: uploads it and its subtitles, follows the job, downloads the result.
//
//   X_API_KEY=… node caption.js TARGET CERTS VIDEO SRT OUT
//
// TARGET is host:port, CERTS a folder with ca.crt, client.crt and client.key.
import { join } from 'node:path';
import { CaptionStyle_Preset, Client, Job_Status, ServiceError } from 'api-gpu-client';

async function main(target: string, certs: string, video: string, srt: string, out: string): Promise<void> {
  const client = Client.connect({
    target,
    key: process.env['X_API_KEY'] ?? '',
    ca: join(certs, 'ca.crt'),
    certificate: join(certs, 'client.crt'),
    privateKey: join(certs, 'client.key'),
  });
  try {
    const [urlVideo, urlSrt] = [(await client.upload(video)).name, (await client.upload(srt)).name];
    const queued = await client.caption({ urlVideo, urlSrt, style: { preset: CaptionStyle_Preset.BOLD } });
    let progress = 0;
    for await (const event of client.watch(queued.id)) if (event.case === 'progress') progress += 1;
    const job = await client.wait(queued.id); // throws what the job failed with
    console.error(`${progress} progress events, ${Job_Status[job.status]}`);
    const asset = await client.asset(job.output?.asset ?? '');
    await client.download(asset.name, out);
    console.log(JSON.stringify({ job: job.id, status: Job_Status[job.status], bytes: Number(asset.sizeBytes), sha256: asset.sha256 }));
  } finally {
    client.close();
  }
}

const [target, certs, video, srt, out] = process.argv.slice(2);
if (!target || !certs || !video || !srt || !out) {
  console.error('usage: X_API_KEY=… node caption.js TARGET CERTS VIDEO SRT OUT');
  process.exit(2);
}
main(target, certs, video, srt, out).catch((error: unknown) => {
  console.error(error instanceof ServiceError ? `FAILED: ${error.code} ${error.reason}: ${error.message}` : error);
  process.exitCode = 1;
});
