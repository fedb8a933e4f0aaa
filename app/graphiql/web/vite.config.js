import { defineConfig } from "vite";

export default defineConfig({
  base: "/graphiql/",
  build: {
    // Monaco's editor is one large file on purpose: it is loaded once and cached for ever.
    chunkSizeWarningLimit: 4000,
    // The polyfill fetches chunks in old browsers that cannot run the explorer anyway.
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  logLevel: "warn",
  // A classic worker cannot import the chunks that Monaco is split into.
  worker: { format: "es" },
});
