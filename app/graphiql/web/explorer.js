import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import { createGraphiQLFetcher, StorageAPI } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { Kind, parse, print, separateOperations } from "graphql";
import { createClient } from "graphql-ws";
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";

import { authorization, forgetToken, showSignIn, token } from "./token.js";
import tour from "./tour.graphql?raw";
import tourVariables from "./tour.variables.jsonc?raw";

const url = new URL("/graphql", location.href);
const socketUrl = new URL(url);
socketUrl.protocol = url.protocol.replace("http", "ws");

// GraphiQL opens what its store holds: a tab that has this text, or else a new one.
const store = new StorageAPI();
function putTourFirst() {
  store.set("query", tour);
  store.set("variables", tourVariables);
}
if (store.get("query") === null) {
  putTourFirst();
}

function openTour() {
  putTourFirst();
  location.reload();
}

async function fetchWithToken(address, request) {
  const headers = { ...authorization(), ...request.headers };
  const response = await fetch(address, { ...request, headers });
  if (response.status === 401) {
    showSignIn(token() ? "The API does not accept this token." : "The API answers with a token only.");
  }
  return response;
}

const fetchDocument = createGraphiQLFetcher({
  url: url.href,
  enableIncrementalDelivery: false,
  fetch: fetchWithToken,
  wsClient: createClient({ url: socketUrl.href, connectionParams: authorization }),
});

// Of a document with many operations, such as the tour, only the chosen one travels: a mistake
// in another does not stand in its way, and the server's limits count what is asked.
function chosenOperation({ operationName, query }) {
  try {
    const document = parse(query);
    const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    return operations.length > 1 ? print(separateOperations(document)[operationName]) : query;
  } catch {
    return query; // The server says what is wrong with it.
  }
}

const fetcher = (request, options) =>
  fetchDocument({ ...request, query: chosenOperation(request) }, options);

createRoot(document.getElementById("explorer")).render(
  h(
    GraphiQL,
    {
      defaultEditorToolsVisibility: "variables",
      fetcher,
      inputValueDeprecation: true,
      schemaDescription: true,
      shouldPersistHeaders: false,
      showPersistHeadersSettings: false,
    },
    h(
      GraphiQL.Logo,
      null,
      h("span", { className: "product" }, "Servicebook"),
      h("button", { className: "open-tour", onClick: openTour, type: "button" }, "Open the tour"),
      token() && h("button", { className: "forget", onClick: forgetToken, type: "button" }, "Forget token"),
    ),
  ),
);
