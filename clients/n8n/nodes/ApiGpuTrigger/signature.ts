import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'whsec_';
const OLDEST_SECONDS = 300;
// Source: Standard Webhooks, "Signature scheme".
const LEAST_BYTES = 24;

/** Headers of a call, by their names in lower case. */
export type Headers = Record<string, string | string[] | undefined>;

/** Whether a call was signed with one of the secrets, with commas between them, within the last five minutes, as Standard Webhooks has it. */
export function isSigned(body: Buffer, headers: Headers, secrets: string): boolean {
  const [id, time, signatures] = ['id', 'timestamp', 'signature'].map((name) => String(headers[`webhook-${name}`] ?? ''));
  const isFresh = Math.abs(Date.now() / 1000 - Number(time)) <= OLDEST_SECONDS;
  if (!id || !time || !isFresh) return false;
  const given = (signatures ?? '').split(' ').filter((each) => each.startsWith('v1,'));
  return keys(secrets).some((key) => {
    const right = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
    return given.some((each) => isEqual(Buffer.from(each.slice(3), 'base64'), right));
  });
}

// With an empty one, or one of a few bytes, anybody could sign.
function keys(secrets: string): Buffer[] {
  const texts = secrets.split(',').map((secret) => secret.trim().replace(PREFIX, ''));
  return texts.map((text) => Buffer.from(text, 'base64')).filter((key) => key.length >= LEAST_BYTES);
}

function isEqual(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
