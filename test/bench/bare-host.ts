/** Runs the bare Worker in a separate process, in Miniflare with its simulation of R2, as `npm run dev` would. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { serveUntilTold } from "./host.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Settings {
  upstream: string;
  data: string;
}

await serveUntilTold(async ({ upstream, data }: Settings) => {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(`${root}wrangler.toml`);
  // Portolan's bindings, except those that need classes which this Worker doesn't have.
  const { modulesRules: _, durableObjects: __, ...worker } = workerOptions;
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("bare-worker.ts", import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2024",
    write: false,
  });
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...worker,
      name: "bare",
      modules: true,
      script: bundle.outputFiles[0]?.text ?? "",
      bindings: { UPSTREAM: upstream },
      host: "127.0.0.1",
      port: 0,
      resourcePersistencePath: data,
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => {},
    }),
  );
  const url = await miniflare.ready;
  return { port: Number(url.port), stop: () => miniflare.dispose() };
});
