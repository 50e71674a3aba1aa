/** The Worker on this machine: bundled, and run by workerd with its storage on disk. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, stop as stopBundler } from "esbuild";
import { convertV4MiniflareOptions, type Json, Log, LogLevel, Miniflare } from "miniflare";
import { readConfig } from "../src/config.ts";
import type { RequestRecord } from "../src/requestlog.ts";
import { readKeyFile } from "./keys/file.ts";
import { keptSigningSecret } from "./keys/signing.ts";
import { prepare, publisher } from "./publish.ts";

export interface MirrorOptions {
  /** 0 takes any that is free. */
  port: number;
  host: string;
  /** The folder that holds the store; made if it isn't there. */
  data: string;
  /** Upstreams to add to or replace in the built-in table: name → endpoints, the authority first. */
  upstreams?: Record<string, readonly string[]>;
  /** Variables as in wrangler.toml's `[vars]`. */
  vars?: Record<string, string>;
  /** The file with the access keys, for a mirror with ACCESS=keys whose variables don't hold them. */
  keyFile?: string;
  onRequest?: (record: RequestRecord) => void;
  /** Everything else the Worker or its runtime has to say. */
  onMessage?: (level: string, message: string) => void;
}

export interface RunningMirror {
  url: string;
  port: number;
  /** Names of all upstreams, sorted. */
  upstreams: readonly string[];
  /** Names of the access keys; null if it is open to everybody. */
  keys: readonly string[] | null;
  /** What the platform's cron does every hour for a deployed mirror, and this one does by itself: brings the store under its limit. */
  tidy(): Promise<void>;
  /** Lets go of the port and the storage; what is being stored at that moment is not published. */
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Starts the mirror.
 * @throws ConfigError for variables that can't be used, or another error if the Worker can't be started.
 */
export async function startMirror(options: MirrorOptions): Promise<RunningMirror> {
  // Wrangler has things to say on import that don't concern a mirror on this machine.
  process.env.WRANGLER_LOG ??= "error";
  const { unstable_getMiniflareWorkerOptions } = await import("wrangler");
  const { workerOptions, main } = unstable_getMiniflareWorkerOptions(`${root}wrangler.toml`);
  // Only modules written in TypeScript are bundled, so wrangler's rules for other kinds of file have nothing to do; the
  // bucket is replaced by one of plain files; and what counts requests on the platform would write to the disk for each of
  // them here, where one isolate sees them all and counts by itself.
  const { modulesRules: _, r2Buckets: __, ratelimits: ___, ...worker } = workerOptions;
  const bindings = await withKeys(variables(worker.bindings ?? {}, options), options);
  const { upstreamNames, access, keys } = readConfig(bindings);
  const store = join(options.data, "store");
  await prepare(store);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          ...worker,
          name: "portolan",
          modules: true,
          script: await bundle(main ?? `${root}src/index.ts`),
          bindings,
          serviceBindings: { STORE: { name: "store", entrypoint: "DiskBucket" } },
        },
        {
          name: "store",
          modules: true,
          script: await bundle(`${root}scripts/worker/disk-bucket.ts`),
          compatibilityDate: String(worker.compatibilityDate),
          serviceBindings: { DISK: { disk: { path: store } }, FILES: { node: publisher(store) } },
        },
      ],
      host: options.host,
      port: options.port,
      resourcePersistencePath: options.data,
      // Miniflare would otherwise ask the Internet where this machine is, and report its use.
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: ({ level, message }) => report(options, level, message),
    }),
  );
  try {
    const url = await miniflare.ready;
    const worker = await miniflare.getWorker("portolan");
    const tidy = async () => {
      await worker.scheduled();
    };
    const hourly = setInterval(() => tidy().catch(() => {}), 3_600_000).unref();
    return {
      url: url.origin,
      port: Number(url.port),
      upstreams: upstreamNames,
      keys: access === "keys" ? keys.map(({ name }) => name) : null,
      tidy,
      stop: () => {
        clearInterval(hourly);
        return miniflare.dispose();
      },
    };
  } catch (error) {
    await miniflare.dispose().catch(() => {});
    throw error;
  }
}

async function bundle(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    write: false,
    logLevel: "silent",
  });
  // Its service would stay alive as a process of its own for as long as the mirror runs.
  await stopBundler();
  return result.outputFiles[0]?.text ?? "";
}

/** The variables of wrangler.toml and .dev.vars, with those given over them; tables of upstreams are merged. */
function variables(
  own: Record<string, Json>,
  { vars = {}, upstreams = {} }: MirrorOptions,
): Record<string, Json> {
  const table = tableOf(vars.UPSTREAMS ?? own.UPSTREAMS ?? {});
  // A table that can't be read is left as it is: checking the configuration says what is wrong with it.
  if (!table || Object.keys(upstreams).length === 0) return { ...own, ...vars };
  const given = Object.entries(upstreams).map(([name, endpoints]) => {
    const settings = tableOf(table[name] ?? {}) ?? {};
    return [name, { ...settings, endpoints: [...endpoints] }];
  });
  return { ...own, ...vars, UPSTREAMS: { ...table, ...Object.fromEntries(given) } };
}

/** Where ACCESS is keys: the keys of the file, and a signing secret of the data's own, unless variables say otherwise. */
async function withKeys(
  bindings: Record<string, Json>,
  { data, keyFile }: MirrorOptions,
): Promise<Record<string, Json>> {
  if (bindings.ACCESS !== "keys") return bindings;
  const list = bindings.ACCESS_KEYS === undefined && keyFile ? await readKeyFile(keyFile) : null;
  return {
    ...(list ? { ACCESS_KEYS: JSON.stringify(list) } : {}),
    ...(bindings.SIGNING_SECRET === undefined ? { SIGNING_SECRET: await keptSigningSecret(data) } : {}),
    ...bindings,
  };
}

function tableOf(given: Json): Record<string, Json> | null {
  try {
    const table: Json = typeof given === "string" ? JSON.parse(given) : given;
    return typeof table === "object" && table !== null && !Array.isArray(table) ? table : null;
  } catch {
    return null;
  }
}

function report(options: MirrorOptions, level: string, message: string): void {
  const requests = requestsIn(message);
  if (!requests) options.onMessage?.(level, message);
  for (const request of requests ?? []) options.onRequest?.(request);
}

function requestsIn(message: string): RequestRecord[] | null {
  if (!message.startsWith('{"requests":')) return null;
  try {
    return JSON.parse(message).requests;
  } catch {
    return null;
  }
}
