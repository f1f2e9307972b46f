import {
  type IDataObject,
  type INodeType,
  type INodeTypeDescription,
  type IWebhookFunctions,
  type IWebhookResponseData,
  NodeConnectionTypes,
} from 'n8n-workflow';
import { eventChoices } from '../ApiGpu/fields';
import { type Headers, isSigned } from './signature';

export class ApiGpuTrigger implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'api-gpu Trigger',
    name: 'apiGpuTrigger',
    icon: { light: 'file:apiGpu.svg', dark: 'file:apiGpu.dark.svg' },
    group: ['trigger'],
    version: 1,
    subtitle: '={{ $parameter["events"].join(", ") }}',
    description: 'Starts the workflow when something happens to a job whose webhook URL is that of this node',
    defaults: { name: 'api-gpu Trigger' },
    inputs: [],
    outputs: [NodeConnectionTypes.Main],
    credentials: [{ name: 'apiGpuApi', required: true }],
    webhooks: [{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'webhook' }],
    properties: [
      {
        displayName:
          'Give the URL of this webhook to jobs as their webhook URL. The credential needs the secret that the gateway signs its calls with.',
        name: 'notice',
        type: 'notice',
        default: '',
      },
      {
        displayName: 'Events',
        name: 'events',
        type: 'multiOptions',
        options: eventChoices(),
        default: ['job.ended'],
        required: true,
        description: 'What starts the workflow, of what the job is to tell',
      },
    ],
  };

  // The jobs themselves carry the URL: there is nothing to register, and nothing to take back.
  webhookMethods = {
    default: {
      checkExists: async () => true,
      create: async () => true,
      delete: async () => true,
    },
  };

  async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
    const request = this.getRequestObject();
    const { webhookSecret } = await this.getCredentials('apiGpuApi');
    const body = request.rawBody ?? Buffer.from(JSON.stringify(this.getBodyData()));
    if (!isSigned(body, this.getHeaderData() as Headers, String(webhookSecret ?? ''))) {
      this.getResponseObject().status(401).send('not signed with the secret of the credential, or older than five minutes');
      return { noWebhookResponse: true };
    }
    const told = JSON.parse(body.toString()) as IDataObject;
    if (!(this.getNodeParameter('events') as string[]).includes(String(told.type))) return {};
    return { workflowData: [[{ json: told }]] };
  }
}
