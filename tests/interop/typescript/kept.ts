// Uploads files one after the other, those again that the gateway has, and tells their names:  node kept.js TARGET CERTS FILE…
import { join } from 'node:path';
import { Client } from 'api-gpu-client';

const [target = '', certs = '', ...files] = process.argv.slice(2);
const client = Client.connect({
  target,
  key: process.env['X_API_KEY'] ?? '',
  ca: join(certs, 'ca.crt'),
  certificate: join(certs, 'client.crt'),
  privateKey: join(certs, 'client.key'),
});
const names: string[] = [];
let sentBytes = 0;
for (const file of files) {
  let sent = 0;
  names.push((await client.upload(file, { reuse: true, onBytes: (passed) => (sent = passed) })).name);
  sentBytes += sent;
}
const again = await client.upload(files[0] ?? '');
const listed: string[] = [];
for await (const asset of client.assets({ pageSize: 1 })) listed.push(asset.name);
console.log(JSON.stringify({ names, sentBytes, again: again.name, listed }));
client.close();
