// Writes src/gen/index.ts, which exports all messages and services of apigpu.v1.
import { readdirSync, writeFileSync } from 'node:fs';

const files = readdirSync('src/gen/apigpu/v1').sort();
const lines = files.map((name) => `export * from './apigpu/v1/${name.replace(/\.ts$/, '.js')}';`);
writeFileSync('src/gen/index.ts', `${lines.join('\n')}\n`);
