/** `npm start`: the mirror on this machine, with its storage on disk and a line a request. */
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { VARIABLES } from "../src/config.ts";
import type { RequestRecord } from "../src/requestlog.ts";
import { isLoopback } from "../src/upstream/addresses.ts";
import { KEY_FILE } from "./keys/file.ts";
import { AddressError, reachableUrls } from "./local/address.ts";
import { type RunningMirror, startMirror } from "./local/mirror.ts";
import type { Message } from "./local/runtime.ts";
import { doubtful } from "./terminal/colours.ts";
import { nearest } from "./terminal/nearest.ts";
import { count, size } from "./terminal/words.ts";

interface Settings {
  port: number;
  host: string;
  data: string;
  upstream: Record<string, string[]>;
  var: Record<string, string>;
}

/** Milliseconds that requests have to end, once the mirror is to: less than `docker stop` waits. */
const GRACE = 8_000;

/** Milliseconds after which a person is told what is waited for. */
const HINT_AFTER = 500;
const STOPPING = `Waiting up to ${GRACE / 1000} s for requests under way; Ctrl-C again stops at once.`;

/** What looking up or listening on an address that isn't this machine's ends in. */
const BAD_HOST = ["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EINVAL"];

const OPEN_TO_OTHERS =
  "Warning: everybody who reaches this address can pull through the mirror; without --var ACCESS=open it is for the holders of access keys.";

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

// What is made from here on is for its owner, whichever process makes it.
process.umask(0o077);
await serve(program.parse().opts<Settings>());

async function serve(settings: Settings): Promise<void> {
  try {
    const mirror = await startMirror({
      port: settings.port,
      host: settings.host,
      data: resolve(settings.data),
      upstreams: settings.upstream,
      vars: settings.var,
      keyFile: resolve(KEY_FILE),
      grace: GRACE,
      onRequest: (record) => console.log(requestLine(record)),
      onMessage: print,
    });
    announce(mirror, settings);
    stopOnSignal(mirror);
    mirror.crashed.then((how) => {
      console.error(`The runtime has ended by itself (${how}).`);
      process.exit(1);
    });
  } catch (error) {
    await fail(error, settings);
  }
}

function announce(mirror: RunningMirror, { data, host }: Settings): void {
  const { url, port, upstreams, keys } = mirror;
  const reachable = reachableUrls(host, port);
  const listing = reachable.length > 1 ? `\n  addresses  ${reachable.join(", ")}` : "";
  const [forDocker = url] = reachable;
  console.log(`Portolan listens on ${url} and keeps what it pulls in ${data}
${listing}
  mirrors    ${upstreams.join(", ")}
  access     ${keys === null ? "open to everybody who can reach it" : `for the holders of ${count(keys.length, "key")}`}

${keys === null ? openUse(forDocker) : keyedUse(forDocker, keys)}
`);
  if (keys === null && !isLoopback(new URL(url))) console.error(doubtful(OPEN_TO_OTHERS));
}

function openUse(url: string): string {
  return `Docker: put this in /etc/docker/daemon.json and reload docker
  { "registry-mirrors": ["${url}"] }
or pull through it by name
  docker pull ${new URL(url).host}/ghcr.io/OWNER/IMAGE:TAG`;
}

function keyedUse(url: string, keys: readonly string[]): string {
  if (keys.length === 0) {
    return `It is closed, because there are no keys yet. Make one and restart it
  npm run portolan -- key add NAME
or open it to everybody who can reach it
  npm start -- --var ACCESS=open`;
  }
  const { host } = new URL(url);
  return `Docker: log in with any user name and a key as the password, and pull through it by name
  docker login ${host}
  docker pull ${host}/ghcr.io/OWNER/IMAGE:TAG`;
}

/** 12:31:05 GET /v2/library/alpine/manifests/latest 200 store 1.2 kB 3 ms, and for a failure its upstream and the reason. */
function requestLine({ method, path, upstream, status, servedBy, bytes, ms, reason }: RequestRecord): string {
  const time = new Date().toTimeString().slice(0, 8);
  const length = bytes === null ? "-" : size(bytes);
  const line = [time, method, path, status, servedBy ?? "-", length, `${ms} ms`].join(" ");
  return reason === null ? line : `${line} ${[upstream, reason].filter((part) => part !== null).join(": ")}`;
}

/** The runtime's own words are about its own code, and a stack is about ours: neither helps who runs a mirror. */
function print({ from, level, text }: Message): void {
  if (from === "runtime") return;
  const [line = ""] = text.split("\n");
  if (level === "log" || level === "info") console.log(line);
  else console.error(from === "mirror" ? doubtful(`Warning: ${line}`) : line);
}

function stopOnSignal(mirror: RunningMirror): void {
  const stop = async () => {
    const hint = setTimeout(() => console.log(STOPPING), HINT_AFTER);
    await mirror.stop();
    clearTimeout(hint);
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
}

async function fail(error: unknown, settings: Settings): Promise<never> {
  const message = error instanceof Error ? error.message : String(error);
  console.error(error instanceof AddressError ? await whyNotThere(error, settings) : message);
  process.exit(1);
}

async function whyNotThere({ code, message }: AddressError, { host, port }: Settings): Promise<string> {
  if (code === "EADDRINUSE") return portTaken(host, port);
  if (code === "EACCES") return "This port needs more rights; choose one above 1023 with --port.";
  return BAD_HOST.includes(code) ? "--host must be an address of this machine." : message;
}

async function portTaken(host: string, port: number): Promise<string> {
  const another = "choose another with --port (0 takes any that is free)";
  const [url = ""] = reachableUrls(host, port);
  return (await isMirror(url))
    ? `A mirror is running already at ${url}; stop it, or ${another}.`
    : `Port ${port} is taken; ${another}.`;
}

async function isMirror(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/_/health`, { signal: AbortSignal.timeout(2_000) });
    const { status }: { status?: unknown } = await answer.json();
    return status === "ok" || status === "unavailable";
  } catch {
    return false;
  }
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
  if (!VARIABLES.includes(name)) {
    const meant = nearest(name, VARIABLES);
    throw new InvalidArgumentError(
      `There is no variable ${name}${meant === null ? "" : `; did you mean ${meant}?`}`,
    );
  }
  return { ...given, [name]: value };
}

function pair(text: string, form: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError(`It must have the form ${form}.`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
