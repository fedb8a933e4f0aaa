// What graphql-yoga and Apollo Server have in common: a part of the product's schema, resolvers over
// prepared statements, data loaders for what is below, made anew for each request.
import DataLoader from 'dataloader';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
const read = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const MOMENT = `'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`;
const SERVICE = 's.id, s.kind, s.prefix, s.state, s.version';
const SERVICES = `
  SELECT e.id AS of, ${SERVICE} FROM unnest($1::uuid[]) AS e (id), LATERAL (
    SELECT * FROM read.service_instances WHERE environment_id = e.id
    ORDER BY created_at, id LIMIT $2) AS s ORDER BY s.created_at, s.id`;
const HISTORY = `
  SELECT s.id AS of, h.position, h.event, h.sentence, h.actor,
    to_char(h.recorded_at AT TIME ZONE 'UTC', ${MOMENT}) AS "recordedAt"
  FROM unnest($1::uuid[]) AS s (id), LATERAL (
    SELECT * FROM read.lifecycle_history WHERE service_instance_id = s.id
    ORDER BY version DESC LIMIT $2) AS h ORDER BY h.version`;
const PAGE = `
  SELECT ${SERVICE}, to_char(s.created_at AT TIME ZONE 'UTC', ${MOMENT}) AS "createdAt"
  FROM read.service_instances AS s WHERE (s.created_at, s.id) > ($1::timestamptz, $2::uuid)
  ORDER BY s.created_at, s.id LIMIT $3`;
const START = '-infinity 00000000-0000-0000-0000-000000000000';

export const typeDefs = /* GraphQL */ `
  type Entry { position: String! event: String! sentence: String! actor: String! recordedAt: String! }
  type Entries { nodes: [Entry!]! }
  type Service {
    id: ID! kind: String! prefix: String! state: String! version: Int! createdAt: String!
    history(last: Int!): Entries!
  }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Services { nodes: [Service!]! pageInfo: PageInfo! }
  type Environment { id: ID! name: String! serviceInstances(first: Int!): Services! }
  input Key { id: ID! }
  type Query {
    environment(by: Key!): Environment
    serviceInstance(id: ID!): Service
    serviceInstances(first: Int!, after: String): Services!
  }
`;

const uuid = (id) => id.slice(4);
const shown = (mark, id) => `${mark}_${id.replaceAll('-', '')}`;

export const resolvers = {
  Query: {
    environment: async (_, { by }) =>
      (await read('environment', 'SELECT id, name FROM read.environments WHERE id = $1', [uuid(by.id)]))[0],
    serviceInstance: async (_, { id }) =>
      (await read('service', `SELECT ${SERVICE} FROM read.service_instances AS s WHERE id = $1`, [uuid(id)]))[0],
    serviceInstances: async (_, { first, after }) => {
      const found = await read('page', PAGE, [...(after ?? START).split(' '), first + 1]);
      const nodes = found.slice(0, first);
      const end = nodes.at(-1);
      const endCursor = end ? `${end.createdAt} ${end.id}` : null;
      return { nodes, pageInfo: { hasNextPage: found.length > first, endCursor } };
    },
  },
  Environment: {
    id: ({ id }) => shown('env', id),
    serviceInstances: async ({ id }, { first }, { services }) => ({ nodes: await services(first).load(id) }),
  },
  Service: {
    id: ({ id }) => shown('svc', id),
    history: async ({ id }, { last }, { histories }) => ({ nodes: await histories(last).load(id) }),
  },
};

const loaders = (name, text) => {
  const known = new Map();
  const load = (count) => async (ids) => {
    const found = Map.groupBy(await read(name, text, [ids, count]), (row) => row.of);
    return ids.map((id) => found.get(id) ?? []);
  };
  return (count) => known.get(count) ?? known.set(count, new DataLoader(load(count))).get(count);
};
export const context = () => ({
  services: loaders('services', SERVICES),
  histories: loaders('histories', HISTORY),
});
