import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Connection } from './connection.js';
import { fromFailure, ServiceError } from './errors.js';
import {
  type Job,
  Job_Status,
  type JobOptionsSchema,
  JobService,
  type ListJobsRequestSchema,
  type SubmitJobRequestSchema,
  type WatchJobResponse,
} from './gen/apigpu/v1/jobs_pb.js';
import { Retries } from './retries.js';
import type { CallOptions } from './service.js';

const PAGE_JOBS = 100;

/** One thing that happened to a job, by `case`: queued, progress, item (a clip of a batch) or finished. */
export type JobEvent = Exclude<WatchJobResponse['event'], { case: undefined }>;

type Operation = MessageInitShape<typeof SubmitJobRequestSchema>['operation'];

/** Queue an operation. A gateway that goes away meanwhile is asked again, and makes one job all the same. */
export async function submit(
  connection: Connection,
  operation: NonNullable<Operation>,
  idempotencyKey: string,
  options: MessageInitShape<typeof JobOptionsSchema>,
  call: CallOptions,
): Promise<Job> {
  const request = { operation, idempotencyKey: idempotencyKey || randomUUID(), options };
  const jobs = connection.service(JobService);
  const { job } = await connection.untilAnswered(call, () => jobs.submitJob(request, call));
  return present(job);
}

/** Read a job. */
export async function get(connection: Connection, id: string, call: CallOptions): Promise<Job> {
  const jobs = connection.service(JobService);
  return present((await connection.untilAnswered(call, () => jobs.getJob({ id }, call))).job);
}

/** The jobs that are wanted, the newest first, fetched in pages as they are needed. */
export async function* list(
  connection: Connection,
  wanted: MessageInitShape<typeof ListJobsRequestSchema>,
  call: CallOptions,
): AsyncGenerator<Job> {
  const jobs = connection.service(JobService);
  for (let pageToken = ''; ; ) {
    const request = { pageSize: PAGE_JOBS, ...wanted, pageToken };
    const page = await connection.untilAnswered(call, () => jobs.listJobs(request, call));
    yield* page.jobs;
    pageToken = page.nextPageToken;
    if (!pageToken) return;
  }
}

/** What happens to a job up to its end. A stream that breaks is opened again where it was. */
export async function* watch(connection: Connection, id: string, call: CallOptions): AsyncGenerator<JobEvent> {
  const [jobs, retries, limit] = [connection.service(JobService), new Retries(connection), limitOf(call)];
  let [lastEventId, events] = ['', 0];
  for (;;) {
    try {
      for await (const message of jobs.watchJob({ id, lastEventId }, limit())) {
        retries.gotOn((events += 1));
        lastEventId = message.eventId || lastEventId;
        if (message.event.case === undefined) continue;
        yield message.event;
        if (message.event.case === 'finished') return;
      }
      throw new ServiceError('UNAVAILABLE', `the watch of job ${id} ended before the job`, { reason: 'CUT_OFF' });
    } catch (error) {
      const isOver = limit().timeoutMs === 0;
      if (isOver || !isPassing(error) || !(await retries.allow(call.signal))) throw error;
    }
  }
}

// The options of a call that is made anew: its time counts from the first one.
function limitOf(call: CallOptions): () => CallOptions {
  const { timeoutMs } = call;
  if (timeoutMs === undefined) return () => call;
  const end = performance.now() + timeoutMs;
  return () => ({ ...call, timeoutMs: Math.max(end - performance.now(), 0) });
}

/** The completed job; throws the error that it failed with. */
export async function wait(connection: Connection, id: string, call: CallOptions): Promise<Job> {
  for await (const event of watch(connection, id, call)) {
    if (event.case === 'finished') return completed(event.value);
  }
  throw new ServiceError('INTERNAL', `the watch of job ${id} ended without its end`);
}

/** Queue a job anew that has ended. A gateway that goes away meanwhile is asked again, and makes one job all the same. */
export async function retry(connection: Connection, id: string, idempotencyKey: string, call: CallOptions): Promise<Job> {
  const request = { id, idempotencyKey: idempotencyKey || randomUUID() };
  const jobs = connection.service(JobService);
  return present((await connection.untilAnswered(call, () => jobs.retryJob(request, call))).job);
}

/** Cancel a job. */
export async function cancel(connection: Connection, id: string, call: CallOptions): Promise<void> {
  await connection.service(JobService).cancelJob({ id }, call);
}

function completed(job: Job): Job {
  if (job.status === Job_Status.COMPLETED) return job;
  if (job.error) throw fromFailure(job.error);
  throw new ServiceError('INTERNAL', `job ${job.id} ended as ${Job_Status[job.status]}, and says no more`);
}

function isPassing(error: unknown): boolean {
  return error instanceof ServiceError && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.code);
}

function present<T>(message: T | undefined): T {
  if (message === undefined) throw new ServiceError('INTERNAL', 'the gateway answered without what was asked for');
  return message;
}
