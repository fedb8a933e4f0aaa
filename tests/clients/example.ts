import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'graphql-ws';

const url = process.env['SERVICEBOOK_URL']!; // such as http://127.0.0.1:8000/graphql
const authorization = `Bearer ${process.env['SERVICEBOOK_TOKEN']}`;
const passing = new Set(['UNAVAILABLE', 'TIMEOUT', 'RATE_LIMITED']);
const pauses = [200, 500, 1000, 2000, 4000]; // milliseconds

type Shown = { message: string; extensions: { code: string; correlationId?: string } };

class ApiError extends Error {
  readonly code: string;
  readonly correlationId: string | undefined;

  constructor({ message, extensions }: Shown) {
    super(message);
    this.code = extensions.code;
    this.correlationId = extensions.correlationId;
  }
}

async function send<Data>(query: string, variables: object): Promise<Data> {
  let answer: { data: Data; errors?: Shown[] };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(15_000),
    });
    answer = (await response.json()) as typeof answer;
  } catch (error) {
    // The way there, or a proxy's own page.
    throw new ApiError({ message: String(error), extensions: { code: 'UNAVAILABLE' } });
  }
  for (const error of answer.errors ?? []) throw new ApiError(error);
  return answer.data;
}

async function ask<Data>(query: string, variables: object): Promise<Data> {
  for (const milliseconds of pauses) {
    try {
      return await send<Data>(query, variables);
    } catch (error) {
      if (!(error instanceof ApiError && passing.has(error.code))) throw error;
      await pause(milliseconds);
    }
  }
  return send<Data>(query, variables);
}

type Refusal = { __typename: `${string}Refusal`; code: string; message: string };
type Success<Fields> = { __typename: `${string}Success`; position: string } & Fields;

class RefusedError<More = object> extends Error {
  readonly refusal: Refusal & More;

  constructor(refusal: Refusal & More) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

function isRefusal(outcome: { __typename: string }): outcome is Refusal {
  return outcome.__typename.endsWith('Refusal');
}

async function change<Fields>(mutation: string, given: object): Promise<Success<Fields>> {
  const input = { idempotencyKey: randomUUID(), ...given };
  const data = await ask<Record<string, Success<Fields> | Refusal>>(mutation, { input });
  const [outcome] = Object.values(data);
  if (isRefusal(outcome!)) throw new RefusedError(outcome);
  return outcome!;
}

const createProject = `
  mutation CreateProject($input: CreateProjectInput!) {
    createProject(input: $input) {
      __typename
      ... on CreateProjectSuccess { position project { id environments { id name } } }
      ... on Refusal { code message }
    }
  }
`;
type Project = { project: { id: string; environments: { id: string; name: string }[] } };
const named = { name: 'shop', idempotencyKey: randomUUID() };
const created = await change<Project>(createProject, named);
const repeated = await change<Project>(createProject, named);
const { project } = created;
const test = project.environments.find(({ name }) => name === 'test')!.id;
console.log('one project:', repeated.position === created.position);

const addService = `
  mutation AddService($input: AddServiceInput!) {
    addService(input: $input) {
      __typename
      ... on AddServiceSuccess { position serviceInstance { id prefix version } }
      ... on Refusal { code message }
      ... on QuotaRefusal { offering limit used }
    }
  }
`;
const setSubscription = `
  mutation SetSubscription($input: SetSubscriptionInput!) {
    setSubscription(input: $input) {
      __typename
      ... on SetSubscriptionSuccess { position }
      ... on Refusal { code message }
    }
  }
`;
type Service = { serviceInstance: { id: string; prefix: string; version: number } };
const wanted = { environment: test, offering: 'redis', prefix: 'CARTS' };
const added = await change<Service>(addService, wanted).catch(async (error: unknown) => {
  if (!(error instanceof RefusedError)) throw error;
  console.log('refused:', error.refusal.code);
  const units = [{ offering: 'redis', units: 1 }];
  await change(setSubscription, { project: project.id, units });
  return change<Service>(addService, wanted);
});
const service = added.serviceInstance;
console.log('added:', service.prefix);

const renamePrefix = `
  mutation Rename($input: RenamePrefixInput!) {
    renamePrefix(input: $input) {
      __typename
      ... on RenamePrefixSuccess { position serviceInstance { prefix version } }
      ... on Refusal { code message }
      ... on ConflictRefusal { currentVersion }
    }
  }
`;

function rename(prefix: string, expectedVersion: number) {
  return change<Service>(renamePrefix, { id: service.id, prefix, expectedVersion });
}

const renamed = await rename('BASKETS', service.version);
try {
  await rename('TROLLEYS', service.version);
} catch (error) {
  if (!(error instanceof RefusedError)) throw error;
  const isNew = error.refusal.currentVersion === renamed.serviceInstance.version;
  console.log('somebody was faster:', error.refusal.code, isNew);
}

const eventsPage = `
  query Events($filter: AuditEventFilter, $after: String) {
    auditEvents(filter: $filter, first: 2, after: $after) {
      nodes { position event }
      pageInfo { hasNextPage endCursor }
    }
  }
`;
type Happening = { position: string; event: string };
type PageInfo = { hasNextPage: boolean; endCursor: string | null };
type Events = { auditEvents: { nodes: Happening[]; pageInfo: PageInfo } };
const filter = { project: project.id, events: ['ServiceAdded', 'ServicePrefixRenamed'] };
const events: Happening[] = [];
let page: PageInfo = { hasNextPage: true, endCursor: null };
while (page.hasNextPage) {
  const { auditEvents } = await ask<Events>(eventsPage, { filter, after: page.endCursor });
  events.push(...auditEvents.nodes);
  page = auditEvents.pageInfo;
}
console.log('events:', events.map(({ event }) => event).join(', '));

const asItWas = `
  query AsItWas($id: ID!, $at: Moment!) {
    serviceInstance(id: $id, at: $at) { prefix }
  }
`;
const at = { position: added.position };
const then = await ask<{ serviceInstance: { prefix: string } }>(asItWas, { id: service.id, at });
console.log('as it was:', then.serviceInstance.prefix);

const follow = `
  subscription Follow($after: Position, $filter: AuditEventFilter) {
    auditEvents(after: $after, filter: $filter) { position event }
  }
`;
const socket = createClient({
  url: url.replace('http', 'ws'),
  connectionParams: { authorization },
});
let last = added.position; // where to go on after a lost connection
const variables = { after: last, filter };
const answers = socket.iterate<{ auditEvents: Happening }>({ query: follow, variables });
for await (const { data } of answers) {
  const told = data!.auditEvents;
  last = told.position;
  if (told.event === 'ServicePrefixRenamed') break;
}
await socket.dispose();
console.log('told:', last === events.at(-1)!.position);
