import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { context, resolvers, typeDefs } from './schema.js';

const { url } = await startStandaloneServer(new ApolloServer({ typeDefs, resolvers }), {
  context: async () => context(),
  listen: { host: '127.0.0.1', port: 0 },
});
console.log(url.replace(/\/$/, ''));
