/** `npm start`: the mirror on this machine, with its storage on disk and a line a request. */
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { RequestRecord } from "../src/requestlog.ts";
import { isLoopback } from "../src/upstream/addresses.ts";
import { KEY_FILE } from "./keys/file.ts";
import { type RunningMirror, startMirror } from "./mirror.ts";
import { doubtful } from "./terminal/colours.ts";
import { count, size } from "./terminal/words.ts";

interface Settings {
  port: number;
  host: string;
  data: string;
  upstream: Record<string, string[]>;
  var: Record<string, string>;
}

/** What looking up or listening on an address that isn't this machine's ends in. */
const BAD_HOST = ["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EINVAL"];

const OPEN_TO_OTHERS =
  "Warning: everybody who reaches this address can pull through the mirror; --var ACCESS=keys asks them for access keys.";

const program = new Command("npm start --")
  .description("Runs the mirror on this machine.")
  .addOption(
    new Option("--port <port>", "port to listen on; 0 takes any that is free").default(8787).argParser(port),
  )
  .option("--host <address>", "address to listen on", "127.0.0.1")
  .option("--data <folder>", "where the store lies", ".portolan")
  .option(
    "--upstream <name=url[,url…]>",
    "add an upstream or replace its endpoints; repeatable",
    upstream,
    {},
  )
  .option("--var <key=value>", "set a variable as in wrangler.toml's [vars]; repeatable", variable, {})
  .addHelpText(
    "after",
    `
Examples:
  npm start
  npm start -- --port 5000 --data /var/lib/portolan
  npm start -- --upstream docker.io=https://registry-1.docker.io,https://mirror.gcr.io
  npm start -- --upstream local=http://127.0.0.1:5001 --var TAG_TTL=60`,
  );

await serve(program.parse().opts<Settings>());

async function serve(settings: Settings): Promise<void> {
  const { upstream: upstreams, var: vars } = settings;
  try {
    await checkPort(settings.host, settings.port);
    await makeFolder(settings.data);
    const mirror = await startMirror({
      port: settings.port,
      host: settings.host,
      data: resolve(settings.data),
      upstreams,
      vars,
      keyFile: resolve(KEY_FILE),
      onRequest: (record) => console.log(requestLine(record)),
      onMessage: (_level, message) => console.error(message),
    });
    announce(mirror, settings);
    stopOnSignal(mirror);
  } catch (error) {
    fail(error);
  }
}

function announce({ url, upstreams, keys }: RunningMirror, { data, host }: Settings): void {
  console.log(`Portolan listens on ${url} and keeps what it pulls in ${data}

  mirrors  ${upstreams.join(", ")}
  access   ${keys === null ? "open to everybody who can reach it" : `for the holders of ${count(keys.length, "key")}`}

${keys === null ? openUse(url) : keyedUse(url, keys)}
`);
  const address = new URL(`http://${host.includes(":") ? `[${host}]` : host}`);
  if (keys === null && !isLoopback(address)) console.error(doubtful(OPEN_TO_OTHERS));
}

function openUse(url: string): string {
  return `Docker: put this in /etc/docker/daemon.json and restart docker
  { "registry-mirrors": ["${url}"] }
or pull through it by name
  docker pull ${new URL(url).host}/ghcr.io/OWNER/IMAGE:TAG`;
}

function keyedUse(url: string, keys: readonly string[]): string {
  if (keys.length === 0) return "There are no keys yet: npm run portolan -- key add NAME, then start it anew";
  const { host } = new URL(url);
  return `Docker: log in with any user name and a key as the password, and pull through it by name
  docker login ${host}
  docker pull ${host}/ghcr.io/OWNER/IMAGE:TAG`;
}

/** 12:31:05 GET /v2/library/alpine/manifests/latest 200 store 1.2 kB 3 ms */
function requestLine({ method, path, status, servedBy, bytes, ms }: RequestRecord): string {
  const time = new Date().toTimeString().slice(0, 8);
  return [time, method, path, status, servedBy ?? "-", bytes === null ? "-" : size(bytes), `${ms} ms`].join(
    " ",
  );
}

function stopOnSignal(mirror: RunningMirror): void {
  const stop = async () => {
    await mirror.stop();
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // Libraries have put handlers of their own there, which would end the process before the mirror has stopped.
    process.removeAllListeners(signal);
    process.once(signal, stop);
  }
}

/** Asked beforehand, because the runtime's own complaint about a taken port names neither the port nor a way out. */
async function checkPort(host: string, port: number): Promise<void> {
  await new Promise<void>((done, refuse) => {
    const probe = createServer();
    probe.once("error", refuse);
    probe.listen(port, host, () => probe.close(() => done()));
  });
}

/** Made beforehand, because the runtime hangs or complains of its own files where it can't be. */
async function makeFolder(data: string): Promise<void> {
  try {
    await mkdir(data, { recursive: true });
    await access(data, constants.W_OK);
  } catch (error) {
    throw new Error(
      `--data must be a folder that can be written to: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function fail(error: unknown): never {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "EADDRINUSE")
    console.error(`The port is taken; choose another with --port (0 takes any that is free).`);
  else if (code === "EACCES")
    console.error("This port needs more rights; choose one above 1023 with --port.");
  else if (BAD_HOST.includes(code)) console.error("--host must be an address of this machine.");
  else console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535)
    throw new InvalidArgumentError("It must be from 0 to 65535.");
  return Number(text);
}

function upstream(text: string, given: Record<string, string[]>): Record<string, string[]> {
  const [name, urls] = pair(text, "NAME=URL");
  return { ...given, [name]: urls.split(",") };
}

function variable(text: string, given: Record<string, string>): Record<string, string> {
  const [name, value] = pair(text, "KEY=VALUE");
  return { ...given, [name]: value };
}

function pair(text: string, form: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError(`It must have the form ${form}.`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
