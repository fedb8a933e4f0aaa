// Commands through emmett's own command handler; one line of JSON in, one line out.
import { createInterface } from 'node:readline';
import { randomUUID } from 'node:crypto';
import { CommandHandler } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const [connectionString, services, connections] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString, max: Number(connections) });
const store = getPostgreSQLEventStore(connectionString, {
  connectionOptions: { pooled: true, pool },
});

const initialState = () => ({ wanted: undefined, version: 0 });
const evolve = (state, event) => ({
  wanted: event.type !== 'ServiceDetachmentRequested',
  version: state.version + 1,
});
const handle = CommandHandler({ evolve, initialState });

const added = () => ({
  type: 'ServiceAdded',
  data: {
    at: new Date().toISOString(), projectId: randomUUID(), environmentId: randomUUID(),
    environmentName: 'test', offering: 'postgres', kind: 'DATABASE', plan: 'small',
    region: 'local', parameters: {}, prefix: 'DEFAULT',
    variableNames: ['DEFAULT_DATABASE_DSN', 'DATABASE_URL'], protected: false,
  },
});
const toggle = (state) => ({
  type: state.wanted ? 'ServiceDetachmentRequested' : 'ServiceAttachmentRequested',
  data: { at: new Date().toISOString() },
});

const streams = Array.from({ length: Number(services) }, () => `service-${randomUUID()}`);
let accepted = 0;

async function prepare() {
  await store.schema?.migrate?.();
  await Promise.all(streams.map((stream) => handle(store, stream, added)));
  return {};
}

async function run({ callers, seconds }) {
  const latencies = [];
  const end = performance.now() + seconds * 1000;
  await Promise.all(Array.from({ length: callers }, async (_, caller) => {
    for (let turn = caller; performance.now() < end; turn += callers) {
      const begin = performance.now();
      await handle(store, streams[turn % streams.length], toggle);
      latencies.push((performance.now() - begin) / 1000);
    }
  }));
  accepted += latencies.length;
  return { latencies };
}

async function count() {
  const found = await Promise.all(
    streams.map((stream) => store.aggregateStream(stream, { evolve, initialState })),
  );
  return { accepted, events: found.reduce((sum, { state }) => sum + state.version - 1, 0) };
}

const commands = { prepare, run, count };
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...values } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await commands[command](values))}\n`);
}
await store.close();
await pool.end();
