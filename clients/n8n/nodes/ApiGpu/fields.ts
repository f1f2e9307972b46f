import {
  type IDataObject,
  type IDisplayOptions,
  type INode,
  type INodeProperties,
  type INodePropertyOptions,
  NodeOperationError,
} from 'n8n-workflow';
import told from './operations.json';

type Kind = 'text' | 'source' | 'number' | 'whole' | 'flag' | 'choice' | 'json' | 'texts' | 'sources' | 'group';

/** One field of an operation, as operations.json has it. */
export interface Field {
  name: string;
  label: string;
  kind: Kind;
  description: string;
  minimum?: number;
  maximum?: number;
  choices?: string[];
  fields?: Field[];
  example?: unknown;
  main?: boolean;
  required?: boolean;
}

interface Operation {
  name: string;
  summary: string;
  fields: Field[];
}

/** The operations of the service; generated from its protos. */
export const OPERATIONS = told.operations as Operation[];
/** What stands beside the fields of any operation. */
export const JOB_FIELDS = told.job as Field[];

const VALUE_LISTS: readonly Kind[] = ['texts', 'sources'];
const SOURCE = 'https://… or assets/…';
const UPPER = new Set(['fps', 'id', 'srt', 'url', 'urls', 'usd']);

/** The choices of the parameter `operation`. */
export function operationChoices(): INodePropertyOptions[] {
  return OPERATIONS.map(({ name, summary }) => ({ name: title(name), value: name, description: summary, action: summary }));
}

/** What jobs tell of by webhooks. */
export function eventChoices(): INodePropertyOptions[] {
  return told.events.map((value) => ({ name: title(value.replace('job.', '')), value }));
}

/** The parameters of all operations, and those of their jobs. */
export function operationProperties(resource: string): INodeProperties[] {
  const own = OPERATIONS.flatMap(({ name, fields }) => shown(fields, { show: { resource: [resource], operation: [name] } }, 'options'));
  return [...own, ...shown(JOB_FIELDS, { show: { resource: [resource] } }, 'jobOptions')];
}

/** The main fields by themselves, a collection of the others, and one of each group. */
function shown(fields: Field[], displayOptions: IDisplayOptions, collection: string): INodeProperties[] {
  const main = fields.filter((field) => field.main && field.kind !== 'group');
  const others = fields.filter((field) => !field.main && field.kind !== 'group');
  const groups = fields.filter((field) => field.kind === 'group');
  return [
    ...main.map((field) => ({ ...property(field), required: field.required ?? false, displayOptions })),
    collectionOf(title(collection), collection, 'What else may be said', others, displayOptions),
    ...groups.map((field) => collectionOf(title(field.label), field.name, field.description, field.fields ?? [], displayOptions)),
  ];
}

function collectionOf(
  displayName: string,
  name: string,
  description: string,
  fields: Field[],
  displayOptions: IDisplayOptions,
): INodeProperties {
  const options = fields.map(property).sort((one, other) => one.displayName.localeCompare(other.displayName));
  return { displayName, name, type: 'collection', placeholder: 'Add option', default: {}, description, options, displayOptions };
}

function property(field: Field): INodeProperties {
  const common = { displayName: title(field.label), name: field.name, description: field.description };
  switch (field.kind) {
    case 'flag':
      return { ...common, type: 'boolean', default: false };
    case 'number':
    case 'whole': {
      const limits = { minValue: field.minimum, maxValue: field.maximum, numberPrecision: field.kind === 'whole' ? 0 : 3 };
      return { ...common, type: 'number', typeOptions: limits, default: field.minimum ?? 0 };
    }
    case 'choice': {
      const options = (field.choices ?? []).map((value) => ({ name: title(value), value }));
      return { ...common, type: 'options', options, default: options[0]?.value ?? '' };
    }
    case 'json':
      return { ...common, type: 'json', default: field.example ? JSON.stringify(field.example) : '' };
    case 'texts':
    case 'sources':
      return { ...common, type: 'string', typeOptions: { multipleValues: true }, default: [], placeholder: placeholder(field.kind) };
    default:
      return { ...common, type: 'string', default: '', placeholder: placeholder(field.kind), ...rows(field.name) };
  }
}

function placeholder(kind: Kind): string {
  return kind === 'source' || kind === 'sources' ? SOURCE : '';
}

function rows(name: string): Pick<INodeProperties, 'typeOptions'> {
  return name.endsWith('_text') ? { typeOptions: { rows: 5 } } : {};
}

/** The parameters of a node, for one item. */
export interface Parameters {
  node: INode;
  item: number;
  read(name: string): unknown;
}

/** The body of the request. What is left empty is left out. */
export function requestOf(operation: string, parameters: Parameters): IDataObject {
  const { fields } = OPERATIONS.find(({ name }) => name === operation) as Operation;
  return { [operation]: values(fields, parameters, 'options'), ...values(JOB_FIELDS, parameters, 'jobOptions') };
}

function values(fields: Field[], parameters: Parameters, collection: string): IDataObject {
  const others = parameters.read(collection) as IDataObject;
  const found: IDataObject = {};
  for (const field of fields) {
    const value = field.main || field.kind === 'group' ? parameters.read(field.name) : others[field.name];
    const given = field.kind === 'group' ? group(field, value as IDataObject, parameters) : plain(field, value, parameters);
    if (given !== undefined) found[field.name] = given as IDataObject;
  }
  return found;
}

function group(field: Field, chosen: IDataObject, parameters: Parameters): IDataObject | undefined {
  const entries = (field.fields ?? []).map((own) => [own.name, plain(own, chosen[own.name], parameters)] as const);
  const given = entries.filter(([, value]) => value !== undefined);
  return given.length > 0 ? (Object.fromEntries(given) as IDataObject) : undefined;
}

function plain(field: Field, value: unknown, parameters: Parameters): unknown {
  if (value === undefined || value === null || value === '') return undefined;
  if (VALUE_LISTS.includes(field.kind)) return list(value);
  return field.kind === 'json' ? json(field, value, parameters) : value;
}

function list(value: unknown): unknown {
  const given = (Array.isArray(value) ? value : [value]).filter((each) => each !== '');
  return given.length > 0 ? given : undefined;
}

function json(field: Field, value: unknown, { node, item }: Parameters): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    const message = `${title(field.label)} is no JSON: ${(error as Error).message}`;
    throw new NodeOperationError(node, message, { itemIndex: item });
  }
}

/** A name as people read it: "narrationGain" is "Narration Gain". */
export function title(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2').split(/[ _-]/);
  return words.map((word) => (UPPER.has(word) ? word.toUpperCase() : word.charAt(0).toUpperCase() + word.slice(1))).join(' ');
}
