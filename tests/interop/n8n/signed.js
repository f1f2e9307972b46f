// Which secrets of a credential the trigger takes a call by:  node signed.js PACKAGE
const { createHmac, randomBytes } = require('node:crypto');
const path = require('node:path');

const { isSigned } = require(path.join(path.resolve(process.argv[2]), 'dist/nodes/ApiGpuTrigger/signature.js'));
const body = Buffer.from('{"type":"job.ended"}');
const secret = () => `whsec_${randomBytes(32).toString('base64')}`;

// Whether a call that was signed with one secret is taken where a credential has others.
function isTaken(signing, given, agedSeconds = 0) {
  const time = String(Math.floor(Date.now() / 1000) - agedSeconds);
  const key = Buffer.from(signing.trim().replace('whsec_', ''), 'base64');
  const signature = createHmac('sha256', key).update(`a.${time}.`).update(body).digest('base64');
  const headers = { 'webhook-id': 'a', 'webhook-timestamp': time, 'webhook-signature': `v1,AAAA v1,${signature}` };
  return isSigned(body, headers, given);
}

const [one, other] = [secret(), secret()];
const found = {
  own: isTaken(one, ` ${one}\n`),
  'old and new': isTaken(one, `${other}, ${one}`),
  another: isTaken(one, other),
  empty: isTaken('', ''),
  blank: isTaken('', ' '),
  prefix: isTaken('', 'whsec_'),
  short: isTaken('whsec_AAAA', 'whsec_AAAA'),
  stale: isTaken(one, one, 400),
};
console.log(JSON.stringify(found));
