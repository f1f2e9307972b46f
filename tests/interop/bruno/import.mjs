// Import a collection of Postman as Bruno does: node import.mjs COLLECTION; prints Bruno's collection, and what it could not take.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { postmanToBruno } = createRequire(import.meta.url)("@usebruno/converters");
console.log(JSON.stringify(await postmanToBruno(JSON.parse(readFileSync(process.argv[2], "utf8")))));
