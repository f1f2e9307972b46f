import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type Client as Channel, Metadata } from '@grpc/grpc-js';
import { fromCall } from './errors.js';

/** How one call is made, and how it ends early. */
export interface CallOptions {
  /** Ends the call, which then throws the reason of the signal. */
  signal?: AbortSignal | undefined;
  /** Metadata beside the key. */
  metadata?: Readonly<Record<string, string>>;
  /** Milliseconds after which the call ends as DEADLINE_EXCEEDED; none when not given. */
  timeoutMs?: number;
}

type Call<M> = M extends { methodKind: infer K; input: infer I extends DescMessage; output: infer O extends DescMessage }
  ? K extends 'unary'
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : K extends 'client_streaming'
      ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
      : K extends 'server_streaming'
        ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncGenerator<MessageShape<O>>
        : never
  : never;

/** The methods of a service. Each throws ServiceError, or the reason of the signal. */
export type ServiceClient<S extends DescService> = { [K in keyof S['method']]: Call<S['method'][K]> };

type Init = Record<string, unknown>;

/** The gateway that is called. */
export interface Peer {
  readonly target: string;
  readonly key: string;
  readonly channel: Channel;
  /** Whether it has answered: if so, one that is away comes back. */
  hasAnswered: boolean;
}

/** A client of a service, on the channel and with the key of the peer. */
export function serviceClient<S extends DescService>(service: S, peer: Peer): ServiceClient<S> {
  const methods = service.methods.map((method) => [method.localName, callOf(method, peer)]);
  return Object.fromEntries(methods) as ServiceClient<S>;
}

function callOf(method: DescMethod, peer: Peer): unknown {
  switch (method.methodKind) {
    case 'unary':
      return (request: Init, options: CallOptions = {}) => single(method, peer, [request], options);
    case 'client_streaming':
      return (requests: AsyncIterable<Init>, options: CallOptions = {}) => single(method, peer, requests, options);
    default:
      return (request: Init, options: CallOptions = {}) => several(method, peer, request, options);
  }
}

/** A call with one answer. */
async function single(
  method: DescMethod,
  peer: Peer,
  requests: Iterable<Init> | AsyncIterable<Init>,
  options: CallOptions,
): Promise<unknown> {
  options.signal?.throwIfAborted();
  const source = Readable.from(messages(method, requests));
  let stop = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const { path, write, read, metadata, limits } = partsOf(method, peer, options);
      const call = peer.channel.makeClientStreamRequest(path, write, read, metadata, limits, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
      call.on('metadata', () => (peer.hasAnswered = true));
      stop = () => call.cancel();
      options.signal?.addEventListener('abort', stop);
      // An error of the caller's own stream is told as it is; the line's comes by the call.
      source.on('error', reject);
      pipeline(source, call as unknown as Writable).catch(stop);
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw fromCall(error, peer.target);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    source.destroy();
  }
}

/** A call with several answers, which ends with the loop over them. */
async function* several(method: DescMethod, peer: Peer, request: Init, options: CallOptions): AsyncGenerator<unknown> {
  options.signal?.throwIfAborted();
  const { path, write, read, metadata, limits } = partsOf(method, peer, options);
  const message = create(method.input, request);
  const call = peer.channel.makeServerStreamRequest(path, write, read, message, metadata, limits);
  const stop = () => call.cancel();
  call.on('metadata', () => (peer.hasAnswered = true));
  options.signal?.addEventListener('abort', stop);
  try {
    yield* call;
  } catch (error) {
    options.signal?.throwIfAborted();
    throw fromCall(error, peer.target);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    call.on('error', () => {}); // of a call that is left
    stop();
  }
}

async function* messages(method: DescMethod, requests: Iterable<Init> | AsyncIterable<Init>): AsyncGenerator<Message> {
  for await (const request of requests) yield create(method.input, request);
}

function partsOf({ parent, name, input, output }: DescMethod, peer: Peer, options: CallOptions) {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
  if (peer.key) metadata.set('x-api-key', peer.key);
  return {
    path: `/${parent.typeName}/${name}`,
    write: (message: Message) => Buffer.from(toBinary(input, message)),
    read: (bytes: Buffer) => fromBinary(output, bytes),
    metadata,
    limits: options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs },
  };
}
