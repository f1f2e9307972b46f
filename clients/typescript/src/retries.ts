import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from './errors.js';

// For a gateway that has not answered yet, and may be starting just now.
const FIRST_SECONDS = 10;
const FIRST_PAUSE_MS = 300;
const MAX_PAUSE_MS = 2000;
// After which a transfer may go on: others needed its place, or it was too slow.
const PASSING = ['BUSY', 'EVICTED', 'UPLOAD_IDLE'];

interface Peer {
  readonly hasAnswered: boolean;
  readonly reconnectSeconds: number;
}

/** How long what fails is tried again: `reconnectSeconds` since the first failure after it last got on; 10 at most where
 * the gateway has never been there. */
export class Retries {
  #failures = 0;
  #failingSince = 0;
  #done = 0;

  constructor(readonly peer: Peer) {}

  /** True after a pause; false once it has failed for too long. */
  async allow(signal?: AbortSignal): Promise<boolean> {
    const { hasAnswered, reconnectSeconds } = this.peer;
    const limitSeconds = hasAnswered ? reconnectSeconds : Math.min(reconnectSeconds, FIRST_SECONDS);
    const now = performance.now() / 1000;
    if (this.#failures === 0) this.#failingSince = now;
    if (now - this.#failingSince > limitSeconds) return false;
    this.#failures += 1;
    await sleep(pauseMs(this.#failures), undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
    return true;
  }

  /** Note how much is done; with more than before, the failures are forgotten. */
  gotOn(done: number): void {
    if (done > this.#done) [this.#done, this.#failures] = [done, 0];
  }
}

/** Whether a gateway that did not answer, or is about to stop, may do so later. */
export function isUnavailable(error: unknown): error is ServiceError {
  return error instanceof ServiceError && error.code === 'UNAVAILABLE';
}

/** Whether a transfer may go on after an error. */
export function mayGoOn(error: unknown): boolean {
  if (!(error instanceof ServiceError)) return false;
  return ['UNAVAILABLE', 'ABORTED'].includes(error.code) || PASSING.includes(error.reason);
}

// Doubles with each failure, and is drawn anew each time, so that clients do not come back all at once.
function pauseMs(failures: number): number {
  const most = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), MAX_PAUSE_MS);
  return most * (0.5 + Math.random() / 2);
}
