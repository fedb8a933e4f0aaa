import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import { createGraphiQLFetcher, StorageAPI } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
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

const fetcher = createGraphiQLFetcher({
  url: url.href,
  enableIncrementalDelivery: false,
  fetch: fetchWithToken,
  wsClient: createClient({ url: socketUrl.href, connectionParams: authorization }),
});

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
