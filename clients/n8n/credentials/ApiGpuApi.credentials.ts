import type { IAuthenticateGeneric, Icon, ICredentialTestRequest, ICredentialType, INodeProperties } from 'n8n-workflow';

export class ApiGpuApi implements ICredentialType {
  name = 'apiGpuApi';

  displayName = 'Api-Gpu API';

  icon: Icon = { light: 'file:apiGpu.svg', dark: 'file:apiGpu.dark.svg' };

  properties: INodeProperties[] = [
    {
      displayName: 'URL',
      name: 'url',
      type: 'string',
      default: 'http://localhost:3000',
      required: true,
      description: 'Where the gateway serves JSON over HTTP',
    },
    {
      displayName: 'API Key',
      name: 'apiKey',
      type: 'string',
      typeOptions: { password: true },
      default: '',
      required: true,
    },
    {
      displayName: 'Webhook Secret',
      name: 'webhookSecret',
      type: 'string',
      typeOptions: { password: true },
      default: '',
      placeholder: 'whsec_…',
      description: 'What calls of the gateway are signed with; the trigger needs it',
    },
  ];

  authenticate: IAuthenticateGeneric = {
    type: 'generic',
    properties: { headers: { 'X-API-Key': '={{$credentials.apiKey}}' } },
  };

  test: ICredentialTestRequest = {
    request: { baseURL: '={{$credentials.url}}', url: '/jobs', qs: { page_size: 1 } },
  };
}
