/** The mirror on this machine: workerd with the Worker that is deployed, and this process, which writes its files. */
import { access, constants, mkdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Config, readConfig } from "../../src/config.ts";
import type { FillRecord } from "../../src/fill-log.ts";
import type { Eviction } from "../../src/ledger/evicted.ts";
import type { Timing } from "../../src/pull/body.ts";
import type { RequestRecord } from "../../src/request-log.ts";
import { adminKeyFile, keptAdminKey } from "../keys/signing.ts";
import { count, size } from "../terminal/format.ts";
import { addressToListen, urlOf } from "./address.ts";
import { hostNamesOf, type KeyPair, type KeyPairFiles, readKeyPair } from "./certificate.ts";
import { FileStore } from "./file-store.ts";
import { Fills } from "./fills.ts";
import { createForwarder } from "./forwarder.ts";
import { FreeSpace } from "./free-space.ts";
import { Https } from "./https.ts";
import { CacheLimit } from "./limit.ts";
import { lockFolder } from "./lock.ts";
import { readProject } from "./project.ts";
import { type Message, startRuntime } from "./runtime.ts";
import { makeSocketFolder } from "./socket-folder.ts";
import { isDisconnected, listenAt, postTo } from "./unix-http.ts";
import { Uploads } from "./uploads.ts";
import { type Given, proxiesOf, variables } from "./variables.ts";
import { watchKeys } from "./watch-keys.ts";
import { type Way, waysOf } from "./ways.ts";
import { workerCode } from "./worker-code.ts";
import { CONTROL_SOCKET, configurationText, PUBLIC_SOCKET } from "./workerd-config.ts";
import { writer } from "./writer.ts";

export interface MirrorOptions extends Given {
  /** 0 chooses any free port. */
  port: number;
  /** Serves https with this pair, and with the next one once the files are replaced. */
  tls?: KeyPairFiles;
  /** Milliseconds that `stop` waits for requests in progress. */
  grace?: number;
  /** Times that differ from the defaults, for tests. */
  timing?: Timing;
  /** Another mirror that hosted repositories are pushed to and pulled from, instead of being this one's own. */
  pushTo?: { url: string; key: string | null };
  onRequest?: (record: RequestRecord) => void;
  /** Called for every blob that was brought from upstream into the store. */
  onFilled?: (record: FillRecord) => void;
  /** Called for all other messages of the Worker, its runtime and this process. */
  onMessage?: (message: Message) => void;
}

export interface RunningMirror {
  /** With the host as given. */
  url: string;
  port: number;
  /** What https is served with; null where http is. */
  keyPair: KeyPair | null;
  /** Names of all upstreams, sorted. */
  upstreams: readonly string[];
  /** How upstreams are reached; empty where all are reached directly. */
  ways: readonly Way[];
  /** The mirror that hosted repositories are at; null where they are this one's own. */
  pushesTo: string | null;
  /** Has the ADMIN_KEY that the mirror made for itself; null where one was given. */
  adminKeyFile: string | null;
  /** Names of the access keys; null if it is open to everyone. */
  keys: readonly string[] | null;
  /** How the runtime ended, if it does so by itself. */
  crashed: Promise<string>;
  /** Brings the store under its limit; a deployed mirror does so by cron every hour, this one by itself. */
  evict(): Promise<void>;
  /** Waits for requests in progress, then releases the port and the storage. A second call stops at once. */
  stop(): Promise<void>;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Milliseconds. */
const HOUR = 3_600_000;
/** Permissions of group and others. */
const OF_OTHERS = 0o077;

/**
 * Starts the mirror.
 * @throws ConfigError for variables that can't be used, or another error if it can't be started.
 */
export async function startMirror(options: MirrorOptions): Promise<RunningMirror> {
  await using started = new AsyncDisposableStack();
  const project = await readProject(ROOT);
  const { tls } = options;
  const keyPair = tls ? await readKeyPair(tls) : null;
  const bindings = await variables(project.vars, {
    ...options,
    certified: keyPair ? hostNamesOf(keyPair) : [],
  });
  const config = readConfig(bindings);
  const { upstreamNames, access, keys, cacheLimit, minFree } = config;
  // The slowest part of the start, and independent of what follows.
  const code = workerCode();
  code.catch(() => {});
  const https =
    tls && keyPair ? await Https.listen(tls, keyPair, options, (message) => forward(options, message)) : null;
  started.defer(() => https?.stop(0));
  const address = https ? null : await addressToListen(options.host, options.port);
  await makeDataFolder(options);
  warnOfRules(options, config);
  const keptKey = config.adminKey === null ? adminKeyFile(options.data) : null;
  bindings.ADMIN_KEY ??= await keptAdminKey(options.data);
  const lock = lockFolder(options.data);
  started.defer(() => lock.release());

  const folders = {
    store: join(options.data, "store"),
    incoming: join(options.data, "incoming"),
    records: join(options.data, "records"),
    objects: join(options.data, "objects"),
  };
  // Fill leases ended with the previous process.
  await rm(join(folders.objects, "BlobFill"), { recursive: true, force: true });
  await mkdir(folders.objects, { recursive: true, mode: 0o700 });
  const store = await FileStore.open(folders.store);
  const records = await FileStore.open(folders.records);
  const fills = await Fills.open(folders.incoming, store);
  const uploads = new Uploads(folders.incoming, store);
  const sockets = await makeSocketFolder(options.data);
  started.defer(() => rm(sockets, { recursive: true, force: true }));
  const paths = {
    files: join(sockets, "files.sock"),
    control: join(sockets, "control.sock"),
    forwarder: join(sockets, "forwarder.sock"),
    mirror: join(sockets, "mirror.sock"),
    ...(options.pushTo && { gateway: join(sockets, "gateway.sock") }),
  };
  const evictTo = async (bytes: number): Promise<Eviction> =>
    JSON.parse(await postTo(paths.control, `/evict?limit=${bytes}`));
  const limit = new CacheLimit(evictTo, cacheLimit, ({ freed, stored }) =>
    say(options, "log", `evicted ${size(freed)}; ${size(stored)} of ${size(cacheLimit)} stored`),
  );
  const onStored = (bytes: number) => limit.add(bytes);
  const space = new FreeSpace(folders.store, minFree);
  const server = await listenAt(
    paths.files,
    writer({ store, records, fills, uploads, space, onStored, onFull: () => limit.makeRoom() }),
  );
  started.defer(() => {
    server.close();
  });

  const certificates = await extraCertificates();
  const forwarder = createForwarder(certificates);
  started.defer(() => forwarder.close());
  const forwarding = await listenAt(paths.forwarder, forwarder.handle);
  started.defer(() => {
    forwarding.close();
  });

  if (options.pushTo && paths.gateway !== undefined) {
    // Loaded here: only a gateway speaks to a registry from this process.
    const { openGateway } = await import("../gateway/gateway.ts");
    const folder = join(options.data, "gateway");
    const gateway = await openGateway({ ...options.pushTo, folder, environment: proxiesOf(options) });
    started.defer(() => gateway.close());
    const forwardingPushes = await listenAt(paths.gateway, gateway.handle);
    started.defer(() => {
      forwardingPushes.close();
    });
  }

  const configuration = configurationText({
    project,
    variables: options.timing ? { ...bindings, TIMING: options.timing } : bindings,
    folders,
    address: address ?? { socket: paths.mirror },
    sockets: paths,
    certificates,
  });
  const runtime = await startRuntime(
    { folder: sockets, configuration, embedded: await code },
    [PUBLIC_SOCKET, CONTROL_SOCKET],
    (message) => forward(options, message),
  );
  started.defer(() => runtime.stop(0));
  await https?.serve({ folder: sockets, mirror: paths.mirror });
  keepLimit(options, limit, cacheLimit, space);
  const evict = async () => {
    await postTo(paths.control, "/scheduled");
  };
  const hourly = setInterval(() => evict().catch(() => {}), HOUR).unref();
  started.defer(() => clearInterval(hourly));

  const { keyFile } = options;
  // Keys that stand in a variable stay; those of the file change with it.
  if (keyFile !== undefined && access === "keys" && !hasOwnKeys(project.vars, options)) {
    const unwatch = watchKeys({
      file: keyFile,
      onKeys: async (list) => {
        await postTo(paths.control, "/keys", JSON.stringify(list));
        say(options, "log", `access is now for the holders of ${count(list.length, "key")}`);
      },
      onProblem: (message) => say(options, "warn", `the access keys stay as they are: ${message}`),
    });
    started.defer(unwatch);
  }

  const running = started.move();
  const port = https?.port ?? runtime.ports.get(PUBLIC_SOCKET) ?? options.port;
  let isStopping = false;
  let released: Promise<void> | undefined;
  return {
    url: urlOf(options.host, port, https ? "https" : "http"),
    port,
    keyPair,
    upstreams: upstreamNames,
    ways: waysOf(config),
    pushesTo: options.pushTo?.url ?? null,
    adminKeyFile: keptKey,
    keys: access === "keys" ? keys.map(({ name }) => name) : null,
    crashed: new Promise((resolve) => {
      for (const { ended } of [runtime, ...(https ? [https] : [])]) {
        ended.then((how) => isStopping || resolve(how));
      }
    }),
    evict,
    stop: async () => {
      const grace = isStopping ? 0 : (options.grace ?? 0);
      isStopping = true;
      const deadline = Date.now() + grace;
      await https?.stop(grace);
      await runtime.stop(Math.max(0, deadline - Date.now()));
      released ??= running.disposeAsync();
      await released;
    },
  };
}

function hasOwnKeys(own: Record<string, unknown>, { vars = {} }: Given): boolean {
  return (vars.ACCESS_KEYS ?? own.ACCESS_KEYS) !== undefined;
}

/** Creates it for its owner only; the permissions of an existing one are left to its owner. */
async function makeDataFolder(options: MirrorOptions): Promise<void> {
  const { data } = options;
  try {
    await mkdir(data, { recursive: true, mode: 0o700 });
    await access(data, constants.W_OK);
    const { mode } = await stat(data);
    if ((mode & OF_OTHERS) === 0) return;
    say(
      options,
      "warn",
      `others on this machine can look into ${data}, which may contain private images: chmod 700 ${data}`,
    );
  } catch (error) {
    throw new Error(`--data must be a folder that can be written to: ${messageOf(error)}`);
  }
}

/** Rules for hosted repositories that a gateway doesn't apply: it has none. */
function warnOfRules(options: MirrorOptions, { hosted }: Pick<Config, "hosted">): void {
  if (!options.pushTo) return;
  const rules = [
    ...(hosted.retention.length > 0 ? ["HOSTED_RETENTION"] : []),
    ...(hosted.quota.length > 0 ? ["HOSTED_QUOTA"] : []),
    ...(hosted.immutable.length > 0 ? ["HOSTED_IMMUTABLE"] : []),
    ...(hosted.sparse ? ["HOSTED_SPARSE"] : []),
  ];
  if (rules.length === 0) return;
  const where = `hosted repositories are at ${options.pushTo.url}, which has rules of its own`;
  say(options, "warn", `${rules.join(", ")} ${rules.length === 1 ? "has" : "have"} no effect here: ${where}`);
}

/** CACHE_LIMIT applies from the start, to existing content too; counting it delays no request. */
async function keepLimit(
  options: MirrorOptions,
  limit: CacheLimit,
  bytes: number,
  space: FreeSpace,
): Promise<void> {
  try {
    await limit.start();
    const available = limit.stored + Math.max(0, await space.left());
    if (bytes <= available) return;
    say(
      options,
      "warn",
      `CACHE_LIMIT is ${size(bytes)}, but the disk has room for ${size(available)}: set a lower one, or the disk fills up first`,
    );
  } catch (error) {
    // The runtime has ended with it, which is reported by itself.
    if (isDisconnected(error)) return;
    say(options, "warn", `the store can't be counted: ${messageOf(error)}`);
  }
}

/** The extra certificates that Node trusts (NODE_EXTRA_CA_CERTS), each by itself. */
async function extraCertificates(): Promise<string[]> {
  const path = process.env.NODE_EXTRA_CA_CERTS;
  if (!path) return [];
  const text = await readFile(path, "utf8");
  return text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
}

function forward(options: MirrorOptions, message: Message): void {
  const record = recordIn(message);
  if (record === null) options.onMessage?.(message);
  else if ("event" in record) options.onFilled?.(record);
  else for (const request of record.requests) options.onRequest?.(request);
}

function say(options: MirrorOptions, level: string, text: string): void {
  options.onMessage?.({ from: "mirror", level, text });
}

/** What the Worker logs for programs, a line of JSON each; null for any other message. */
function recordIn({ from, text }: Message): { requests: RequestRecord[] } | FillRecord | null {
  if (from !== "worker" || !/^\{"(requests|event)":/.test(text)) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
