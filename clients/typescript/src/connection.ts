import { readFileSync } from 'node:fs';
import type { DescService } from '@bufbuild/protobuf';
import { Client as Channel, type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { ofFile } from './errors.js';
import { isUnavailable, Retries } from './retries.js';
import { type CallOptions, type Peer, type ServiceClient, serviceClient } from './service.js';

const RECONNECT_SECONDS = 60;
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2000,
};

/** Where a gateway is, and who calls it. */
export interface ConnectOptions {
  /** host:port of its gRPC. */
  target: string;
  /** API key. */
  key: string;
  /** File (PEM) with the authorities that are trusted; the public ones when not given. */
  ca?: string;
  /** File (PEM) of the client's certificate, where the gateway asks for one; goes with `privateKey`. */
  certificate?: string;
  /** File (PEM) of its private key. */
  privateKey?: string;
  /** What can go on is tried again for so many seconds where the gateway is away; 60 when not given. */
  reconnectSeconds?: number;
}

/** A TLS connection to a gateway, with the key on every call. */
export class Connection implements Peer {
  readonly target: string;
  readonly key: string;
  readonly channel: Channel;
  readonly reconnectSeconds: number;
  hasAnswered = false;

  constructor(options: ConnectOptions) {
    this.target = options.target;
    this.key = options.key.trim();
    this.reconnectSeconds = options.reconnectSeconds ?? RECONNECT_SECONDS;
    this.channel = new Channel(options.target, identity(options), CHANNEL_OPTIONS);
  }

  /** A client of one of the services. */
  service<S extends DescService>(service: S): ServiceClient<S> {
    return serviceClient(service, this);
  }

  /** Make a call that may be made again, for as long as the gateway may be away. */
  async untilAnswered<T>(options: CallOptions, make: () => Promise<T>): Promise<T> {
    const retries = new Retries(this);
    for (;;) {
      try {
        return await make();
      } catch (error) {
        if (!isUnavailable(error) || !(await retries.allow(options.signal))) throw error;
      }
    }
  }

  /** End the connection, and every call on it. */
  close(): void {
    this.channel.close();
  }
}

function identity({ ca, certificate, privateKey }: ConnectOptions): ChannelCredentials {
  const [roots, key, chain] = [ca, privateKey, certificate].map((path) => (path ? read(path) : null));
  return credentials.createSsl(roots, key, chain);
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw ofFile(error, 'read', path);
  }
}
