// PostGraphile makes its schema from the tables; comments tell it of relations between them.
import { createServer } from 'node:http';
import { grafserv } from 'postgraphile/grafserv/node';
import { makePgService } from 'postgraphile/adaptors/pg';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { PgSimplifyInflectionPreset } from '@graphile/simplify-inflection';
import { postgraphile } from 'postgraphile';
import { makeJSONPgSmartTagsPlugin } from 'postgraphile/utils';

const relation = (column, table) => `(${column}) references read.${table} (id)`;
const tags = makeJSONPgSmartTagsPlugin({
  version: 1,
  config: {
    class: {
      'read.service_instances': { tags: { foreignKey: relation('environment_id', 'environments') } },
      'read.subscriptions': { tags: { name: 'subscription_lines' } },
      'read.lifecycle_history': { tags: { foreignKey: relation('service_instance_id', 'service_instances') } },
    },
  },
});
const instance = postgraphile({
  extends: [PostGraphileAmberPreset, PgSimplifyInflectionPreset],
  plugins: [tags],
  pgServices: [
    makePgService({ connectionString: process.env.DATABASE_URL, schemas: ['read'], poolConfig: { max: 8 } }),
  ],
  grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false },
  grafast: { explain: false },
});
const server = createServer();
const serving = instance.createServ(grafserv);
await serving.addTo(server);
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
