import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'whsec_';
const OLDEST_SECONDS = 300;

/** Headers of a call, by their names in lower case. */
export type Headers = Record<string, string | string[] | undefined>;

/** Whether a call was signed with the secret within the last five minutes, as Standard Webhooks has it. */
export function isSigned(body: Buffer, headers: Headers, secret: string): boolean {
  const [id, time, signatures] = ['id', 'timestamp', 'signature'].map((name) => String(headers[`webhook-${name}`] ?? ''));
  const isFresh = Math.abs(Date.now() / 1000 - Number(time)) <= OLDEST_SECONDS;
  if (!secret || !id || !time || !isFresh) return false;
  const key = Buffer.from(secret.trim().replace(PREFIX, ''), 'base64');
  const right = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
  return (signatures ?? '').split(' ').some((each) => each.startsWith('v1,') && isEqual(Buffer.from(each.slice(3), 'base64'), right));
}

function isEqual(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
