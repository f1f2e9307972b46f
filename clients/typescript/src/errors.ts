import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { type Any, anyUnpack, durationMs } from '@bufbuild/protobuf/wkt';
import type { ServiceError as FailedCall } from '@grpc/grpc-js';
import type { Failure } from './gen/apigpu/v1/video_pb.js';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from './gen/google/rpc/error_details_pb.js';
import { StatusSchema } from './gen/google/rpc/status_pb.js';

// In the order of their numbers.
const STATUS_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** Name of a gRPC status. */
export type StatusName = (typeof STATUS_NAMES)[number];

// Every answer of a gateway carries it.
const REQUEST_ID = 'x-request-id';
const DETAILS = 'grpc-status-details-bin';
// What a connection that breaks, or never comes up, ends calls with.
const OF_THE_LINE: readonly StatusName[] = ['UNAVAILABLE', 'CANCELLED', 'UNKNOWN', 'INTERNAL'];

interface Facts {
  reason?: string;
  fields?: Record<string, string>;
  metadata?: Record<string, string>;
  retrySeconds?: number | undefined;
  requestId?: string;
  cause?: unknown;
}

/** What went wrong with a call or a job. The message tells people what to do; the rest is for programs. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  /** One of the words in docs/reference/reasons.md; that of the code where there is none. */
  readonly reason: string;
  /** What is wrong with fields of the request, by their paths. */
  readonly fields: Readonly<Record<string, string>>;
  /** More facts, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** After so many seconds the same call may succeed; undefined where waiting does not help. */
  readonly retrySeconds: number | undefined;
  /** What the logs of the gateway have the call under; "" where it did not answer. */
  readonly requestId: string;

  constructor(
    readonly code: StatusName,
    message: string,
    facts: Facts = {},
  ) {
    super(message, { cause: facts.cause });
    this.reason = facts.reason || code;
    this.fields = facts.fields ?? {};
    this.metadata = facts.metadata ?? {};
    this.retrySeconds = facts.retrySeconds;
    this.requestId = facts.requestId ?? '';
  }
}

/** The error of a call to `target` that failed; what is none of a call comes back as it is. */
export function fromCall(error: unknown, target: string): unknown {
  if (!isOfCall(error)) return error;
  const code = statusName(error.code);
  const requestId = String(error.metadata.get(REQUEST_ID)[0] ?? '');
  const details = detailsOf(error);
  const info = find(details, ErrorInfoSchema);
  if (!requestId && !info && OF_THE_LINE.includes(code)) return unreachable(error, target);
  const violations = find(details, BadRequestSchema)?.fieldViolations ?? [];
  const delay = find(details, RetryInfoSchema)?.retryDelay;
  return new ServiceError(code, error.details, {
    reason: info?.reason ?? '',
    fields: Object.fromEntries(violations.map((found) => [found.field, found.description])),
    metadata: info?.metadata ?? {},
    retrySeconds: delay && durationMs(delay) / 1000,
    requestId,
    cause: error,
  });
}

function isOfCall(error: unknown): error is FailedCall {
  return error instanceof Error && 'metadata' in error && 'details' in error && !(error instanceof ServiceError);
}

function detailsOf(error: FailedCall): Any[] {
  const [bytes] = error.metadata.get(DETAILS);
  return bytes instanceof Buffer ? fromBinary(StatusSchema, bytes).details : [];
}

function find<D extends DescMessage>(details: Any[], schema: D): MessageShape<D> | undefined {
  return details.map((any) => anyUnpack(any, schema)).find((message) => message !== undefined);
}

function unreachable(failed: FailedCall, target: string): ServiceError {
  const text = `${target} does not answer: ${failed.details}. Is the gateway running there, and are the CA and the client certificate those it knows?`;
  return new ServiceError('UNAVAILABLE', text, { reason: 'UNREACHABLE', cause: failed });
}

/** The error that a job, or one result of it, carries. */
export function fromFailure(failure: Failure): ServiceError {
  return new ServiceError(statusName(failure.code), failure.message, {
    reason: failure.reason,
    fields: { ...failure.fields },
  });
}

/** The error of a local file that cannot be used; what else went wrong comes back as it is. */
export function ofFile(error: unknown, verb: string, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof ServiceError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  const [status, why] = code === 'ENOENT' ? (['NOT_FOUND', 'no such file or folder'] as const) : (['FAILED_PRECONDITION', code] as const);
  return new ServiceError(status, `cannot ${verb} ${path}: ${why}.`, { reason: 'LOCAL_FILE', cause: error });
}

function statusName(code: number): StatusName {
  return STATUS_NAMES[code] ?? 'UNKNOWN';
}
