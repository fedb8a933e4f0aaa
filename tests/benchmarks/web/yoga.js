import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';
import { context, resolvers, typeDefs } from './schema.js';

const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), context, logging: 'error' });
const server = createServer(yoga).listen(0, '127.0.0.1', () =>
  console.log(`http://127.0.0.1:${server.address().port}`),
);
