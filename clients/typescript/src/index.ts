export { Client, type OperationName, type OperationRequest, type SubmitOptions } from './client.js';
export type { ConnectOptions } from './connection.js';
export { ServiceError, type StatusName } from './errors.js';
export type { JobEvent } from './jobs.js';
export type { CallOptions, ServiceClient } from './service.js';
export type { TransferOptions, UploadOptions } from './transfers.js';
// Messages, enums and services of the API, as `client.service` takes them.
export * from './gen/index.js';
