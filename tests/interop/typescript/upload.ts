// Uploads a file, and downloads it again:  X_API_KEY=… node upload.js TARGET CERTS FILE OUT
import { join } from 'node:path';
import { Client } from 'api-gpu-client';

const [target = '', certs = '', file = '', out = ''] = process.argv.slice(2);
const client = Client.connect({
  target,
  key: process.env['X_API_KEY'] ?? '',
  ca: join(certs, 'ca.crt'),
  certificate: join(certs, 'client.crt'),
  privateKey: join(certs, 'client.key'),
});
const asset = await client.upload(file);
await client.download(asset.name, out);
console.log(JSON.stringify({ name: asset.name, sha256: asset.sha256 }));
client.close();
