// Waits for a job for a second, and tells what that throws:  X_API_KEY=… node patience.js STILL
import { Client, ServiceError } from 'api-gpu-client';

const client = Client.local();
const still = await client.upload(process.argv[2] ?? '');
const job = await client.img2vid({ images: [{ id: 'a', imageUrl: still.name, duracao: 600 }] });
try {
  await client.wait(job.id, { timeoutMs: 1000 });
} catch (error) {
  console.log(error instanceof ServiceError ? error.code : error);
}
await client.cancel(job.id);
client.close();
