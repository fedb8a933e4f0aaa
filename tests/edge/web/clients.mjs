// Lets the clients graphql-ws and graphql-sse do what applications do, and prints what they got.
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, query, wanted] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const told = {};

const ws = createWsClient({
  url: url.replace(/^http/, "ws"),
  webSocketImpl: WebSocket,
  connectionParams: { authorization },
  retryAttempts: 0,
});
const sse = createSseClient({ url, headers: { authorization }, retryAttempts: 0 });

async function collect(client, request, count) {
  const results = [];
  try {
    for await (const result of client.iterate(request)) {
      results.push(result);
      if (results.length >= count) break;
    }
  } catch (error) {
    results.push({ thrown: error.message ?? error });
  }
  return results;
}

for (const [name, client] of Object.entries({ ws, sse })) {
  told[name] = {
    query: await collect(client, { query: "{ viewer { subject } }" }, 1),
    invalid: await collect(client, { query: "subscription { nothing }" }, 1),
    variables: await collect(
      client,
      { query: "query Q($id: ID!) { project(id: $id) { name } }", variables: { id: "none" } },
      1,
    ),
    stream: await collect(client, { query }, Number(wanted)),
  };
}
await ws.dispose();
sse.dispose();
console.log(JSON.stringify(told));
