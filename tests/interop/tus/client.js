// Uploads a file by tus: node client.js ENDPOINT FILE CHUNK_BYTES (0: all in one request). The key is in X_API_KEY.
// Prints the asset and how often it went on, as JSON.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import * as tus from "tus-js-client";

const [endpoint, path, chunkBytes] = process.argv.slice(2);
let retries = 0;
let furthest = 0;
const upload = new tus.Upload(createReadStream(path), {
  endpoint,
  headers: { "X-API-Key": process.env.X_API_KEY },
  chunkSize: Number(chunkBytes) || Infinity,
  retryDelays: [0, 200, 400, 800, 1600, 3200],
  metadata: { filename: basename(path), filetype: "video/mp4" },
  onShouldRetry: (error) => {
    retries += 1;
    console.error(error.message);
    return true;
  },
  onProgress: (sent) => {
    furthest = Math.max(furthest, sent);
  },
  onError: (error) => {
    console.error(error.message);
    process.exit(1);
  },
  onSuccess: ({ lastResponse }) => {
    console.log(JSON.stringify({ asset: lastResponse.getHeader("Upload-Asset"), retries, furthest, url: upload.url }));
  },
});
upload.start();
