import {
  type IDataObject,
  type IExecuteFunctions,
  type INodeExecutionData,
  type INodeType,
  type INodeTypeDescription,
  NodeConnectionTypes,
  NodeOperationError,
} from 'n8n-workflow';
import { Calls } from './calls';
import { operationChoices, operationProperties, type Parameters, requestOf } from './fields';

export class ApiGpu implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'api-gpu',
    name: 'apiGpu',
    icon: { light: 'file:apiGpu.svg', dark: 'file:apiGpu.dark.svg' },
    group: ['transform'],
    version: 1,
    subtitle: '={{ $parameter["resource"] + ": " + $parameter["operation"] }}',
    description: 'Caption, animate, score and join videos',
    defaults: { name: 'api-gpu' },
    inputs: [NodeConnectionTypes.Main],
    outputs: [NodeConnectionTypes.Main],
    usableAsTool: true,
    credentials: [{ name: 'apiGpuApi', required: true }],
    properties: [
      {
        displayName: 'Resource',
        name: 'resource',
        type: 'options',
        noDataExpression: true,
        options: [
          { name: 'File', value: 'file' },
          { name: 'Job', value: 'job' },
          { name: 'Video', value: 'video' },
        ],
        default: 'video',
      },
      {
        displayName: 'Operation',
        name: 'operation',
        type: 'options',
        noDataExpression: true,
        displayOptions: { show: { resource: ['video'] } },
        options: operationChoices(),
        default: 'caption',
      },
      {
        displayName: 'Operation',
        name: 'operation',
        type: 'options',
        noDataExpression: true,
        displayOptions: { show: { resource: ['job'] } },
        options: [
          { name: 'Cancel', value: 'cancel', action: 'Cancel a job' },
          { name: 'Get', value: 'get', action: 'Get a job' },
          { name: 'Retry', value: 'retry', action: 'Queue a job anew that has ended' },
        ],
        default: 'get',
      },
      {
        displayName: 'Operation',
        name: 'operation',
        type: 'options',
        noDataExpression: true,
        displayOptions: { show: { resource: ['file'] } },
        options: [
          { name: 'Download', value: 'download', action: 'Download a file' },
          { name: 'Upload', value: 'upload', action: 'Upload a file' },
        ],
        default: 'upload',
      },
      ...operationProperties('video'),
      {
        displayName: 'Wait for the End',
        name: 'wait',
        type: 'boolean',
        default: true,
        displayOptions: { show: { resource: ['video'] } },
        description:
          'Whether to go on once the job has ended, with its result. Otherwise the node answers at once; a webhook among the job options tells of the end.',
      },
      {
        displayName: 'Job ID',
        name: 'jobId',
        type: 'string',
        default: '',
        required: true,
        displayOptions: { show: { resource: ['job'] } },
      },
      {
        displayName: 'Wait for the End',
        name: 'waitForJob',
        type: 'boolean',
        default: false,
        displayOptions: { show: { resource: ['job'], operation: ['get', 'retry'] } },
        description: 'Whether to go on once the job has ended',
      },
      {
        displayName: 'Asset',
        name: 'asset',
        type: 'string',
        default: '',
        required: true,
        placeholder: 'assets/…',
        displayOptions: { show: { resource: ['file'], operation: ['download'] } },
        description: 'Name of the file at the service',
      },
      {
        displayName: 'Binary Field',
        name: 'binaryProperty',
        type: 'string',
        default: 'data',
        required: true,
        displayOptions: { show: { resource: ['file'] } },
        description: 'Name of the field of the item that holds the file',
      },
      {
        displayName: 'Reuse',
        name: 'reuse',
        type: 'boolean',
        default: true,
        displayOptions: { show: { resource: ['file'], operation: ['upload'] } },
        description:
          'Whether a file of 8 MiB or more is not sent again that the service has already, by its name, size and SHA-256',
      },
    ],
  };

  async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
    const results: INodeExecutionData[] = [];
    for (let item = 0; item < this.getInputData().length; item++) {
      try {
        results.push(await perform(this, item));
      } catch (error) {
        if (!this.continueOnFail()) throw ofItem(this, error, item);
        const { message, description } = error as { message: string; description?: string };
        results.push({ json: { error: message, description }, pairedItem: { item } });
      }
    }
    return [results];
  }
}

async function perform(node: IExecuteFunctions, item: number): Promise<INodeExecutionData> {
  const calls = new Calls(node, item);
  const parameters = { node: node.getNode(), item, read: (name: string) => node.getNodeParameter(name, item) as unknown };
  if (parameters.read('operation') === 'download') {
    return await calls.download(parameters.read('asset') as string, parameters.read('binaryProperty') as string);
  }
  return { json: await answer(calls, parameters), pairedItem: { item } };
}

async function answer(calls: Calls, parameters: Parameters): Promise<IDataObject> {
  const text = (name: string) => parameters.read(name) as string;
  const operation = text('operation');
  if (operation === 'upload') return await calls.upload(text('binaryProperty'), parameters.read('reuse') as boolean);
  if (operation === 'cancel') return await calls.cancel(text('jobId'));
  if (text('resource') === 'job') {
    const job = operation === 'retry' ? await calls.retry(text('jobId')) : await calls.job(text('jobId'));
    return parameters.read('waitForJob') ? await calls.ended(job) : job;
  }
  const job = await calls.submit(requestOf(operation, parameters));
  return parameters.read('wait') ? await calls.ended(job) : job;
}

function ofItem(node: IExecuteFunctions, error: unknown, itemIndex: number): Error {
  if (error instanceof Error && 'node' in error) return error;
  return new NodeOperationError(node.getNode(), error as Error, { itemIndex });
}
