/** `npm start`: the mirror on this machine, with its storage on disk and a log line per request. */
import type { EventEmitter } from "node:events";
import { resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { VARIABLES } from "../src/config.ts";
import { isLoopback } from "../src/registry/addresses.ts";
import { type Environment, PROXY_FORM, parseProxy } from "../src/registry/proxies.ts";
import { EXIT } from "./commands/exit.ts";
import { parsePushTo } from "./gateway/push-to.ts";
import { KEY_FILE } from "./keys/key-file.ts";
import { readKey } from "./keys/read-key.ts";
import { AddressError, reachableUrls } from "./local/address.ts";
import { certifiedUrl, shownCertificate } from "./local/certificate.ts";
import { healthOf } from "./local/health.ts";
import { filledLine, isRoutine, messageLine, recordJson, requestLine } from "./local/log-lines.ts";
import { type MirrorOptions, type RunningMirror, startMirror } from "./local/mirror.ts";
import type { Message } from "./local/runtime.ts";
import { mirrorsText, registriesHelp, wayLines } from "./local/start-lines.ts";
import { warning } from "./terminal/colours.ts";
import { count } from "./terminal/format.ts";
import { nearest } from "./terminal/nearest.ts";
import { type Output, outputTo } from "./terminal/output.ts";

/** Its environment: the process, or a test's replacement. */
export interface Surroundings {
  stdout: NodeJS.WritableStream;
  stderr: NodeJS.WritableStream;
  cwd: string;
  /** Where signals arrive, by their names. */
  signals: EventEmitter;
  /** Where the proxies' variables are; the process's where it is left out. */
  environment?: Environment;
}

export interface Settings {
  port: number;
  host: string;
  data: string;
  upstream: Record<string, string[]>;
  insecure: string[];
  var: Record<string, string>;
  proxy?: string;
  behind?: string;
  pushTo?: string;
  keyFile?: string;
  log: LogFormat;
  keys: string;
  tlsCert?: string;
  tlsKey?: string;
}

const LOG_FORMATS = ["text", "json"] as const;
type LogFormat = (typeof LOG_FORMATS)[number];

/** Variables are also read from the environment, under their names after this. */
const PREFIX = "PORTOLAN_";
/** The command line's, which isn't the mirror's. */
const OTHERS = ["MIRROR"];

/** Milliseconds that requests have to finish when the mirror stops: less than `docker stop` waits. */
const GRACE = 8_000;

/** Milliseconds after which the wait is reported. */
const HINT_AFTER = 500;
const STOPPING = `Waiting up to ${GRACE / 1000} s for requests under way; Ctrl-C again stops at once.`;

/** The error codes of resolving or listening on an address that isn't this machine's. */
const BAD_HOST = ["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EINVAL"];

const OPEN_TO_OTHERS =
  "Warning: everyone who can reach this address can pull through the mirror; without --var ACCESS=open it is for the holders of access keys.";

const WAYS = "  ways out   ";
const NEXT_WAY = " ".repeat(WAYS.length);

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Its options, for those that start it too. */
export function startCommand(): Command {
  return new Command("npm start --")
    .description("Runs the mirror on this machine.")
    .addOption(
      new Option("--port <port>", "port to listen on; 0 takes any that is free")
        .default(8787)
        .argParser(port),
    )
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--data <folder>", "folder of the store", ".portolan")
    .option(
      "--upstream <name=url[,url…]>",
      "add an upstream or replace its endpoints; repeatable",
      upstream,
      {},
    )
    .option(
      "--insecure <name>",
      "let the endpoints of an upstream be http://; repeatable",
      (name: string, given: string[]) => [...given, name],
      [],
    )
    .addOption(
      new Option(
        "--proxy <url>",
        "reach upstreams through this proxy instead of HTTPS_PROXY and ALL_PROXY: http://, https://, socks5:// or socks5h://",
      ).argParser(proxy),
    )
    .option("--behind <url>", "request everything from another Portolan first, such as one that is deployed")
    .option(
      "--push-to <url>",
      "be a gateway to another Portolan: what is pushed below hosted/ is sent on to it, in parts that Cloudflare lets through",
    )
    .option("--key-file <file>", "the file with the access key for --behind and --push-to")
    .option("--keys <file>", "the file of access keys", KEY_FILE)
    .option(
      "--tls-cert <file>",
      "serve https with this certificate and its chain, in PEM; watched for the next one",
    )
    .option("--tls-key <file>", "the private key of --tls-cert, in PEM")
    .option("--var <key=value>", "set a variable as in wrangler.toml's [vars]; repeatable", variable, {})
    .addOption(
      new Option(
        "--log <format>",
        "how requests are logged; with json, standard output has one object a line and nothing else",
      )
        .choices(LOG_FORMATS)
        .default("text"),
    )
    .addHelpText(
      "after",
      `
Registries that are mirrored without --upstream:
${registriesHelp()}

Examples:
  npm start
  npm start -- --port 5000 --data /var/lib/portolan
  npm start -- --upstream docker.io=https://registry-1.docker.io,https://mirror.gcr.io
  npm start -- --proxy socks5h://127.0.0.1:7890
  npm start -- --behind https://mirror.example.com --key-file key.txt
  npm start -- --push-to https://mirror.example.com --key-file key.txt
  npm start -- --host 0.0.0.0 --tls-cert fullchain.pem --tls-key privkey.pem
  npm start -- --upstream local=http://127.0.0.1:5001 --insecure local

Exits with 0 once it is stopped, with 1 if the runtime ended by itself, with 2 if it can't be started with these options.`,
    );
}

/** Runs the mirror until a signal stops it. @returns the exit code. */
export async function start(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const output = outputTo(surroundings.stdout, surroundings.stderr);
  const program = startCommand()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void surroundings.stdout.write(text),
      writeErr: (text) => void surroundings.stderr.write(text),
    });
  try {
    return await serve(program.parse(args, { from: "user" }).opts<Settings>(), output, surroundings);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.good : EXIT.unknown;
  }
}

async function serve(
  settings: Settings,
  printed: Output,
  { cwd, signals, environment = process.env }: Surroundings,
): Promise<number> {
  const isJson = settings.log === "json";
  // A program that reads the requests must not meet text that is for people.
  const output = isJson ? { ...printed, line: printed.errorLine } : printed;
  let mirror: RunningMirror;
  try {
    mirror = await startMirror({
      port: settings.port,
      host: settings.host,
      data: resolve(cwd, settings.data),
      upstreams: settings.upstream,
      insecure: settings.insecure,
      vars: { ...environmentVariables(environment), ...settings.var },
      keyFile: resolve(cwd, settings.keys),
      ...tlsOf(settings, cwd),
      ...(settings.proxy === undefined ? {} : { proxy: settings.proxy }),
      ...(await otherMirrorsOf(settings, cwd)),
      environment,
      grace: GRACE,
      onRequest: (record) => printed.line(isJson ? recordJson(record) : requestLine(record)),
      onFilled: (record) => printed.line(isJson ? recordJson(record) : filledLine(record)),
      onMessage: (message) => print(message, output),
    });
  } catch (error) {
    output.errorLine(await whyNotStarted(error, settings));
    return EXIT.unknown;
  }
  // Before it says that it listens: a script that waits for that may stop it at once.
  const isStopped = stopped(mirror, signals, output);
  announce(mirror, settings, output);
  const crashed = mirror.crashed.then((how) => {
    output.errorLine(`The runtime has ended by itself (${how}).`);
    return EXIT.bad;
  });
  return Promise.race([crashed, isStopped]);
}

/**
 * The other mirrors that this one pulls from and pushes to, with the key for them.
 * @param cwd what paths are relative to.
 * @throws Error for a key without a mirror to use it at, or with two: each would get the other's.
 */
async function otherMirrorsOf(
  { behind, pushTo, keyFile }: Pick<Settings, "behind" | "pushTo" | "keyFile">,
  cwd: string,
): Promise<Pick<MirrorOptions, "behind" | "pushTo">> {
  const urls = [behind, pushTo].filter((url) => url !== undefined);
  if (urls.length === 0 && keyFile !== undefined) {
    throw new Error("--key-file is for --behind or --push-to, which is missing.");
  }
  const hosts = new Set(urls.map((url) => URL.parse(url)?.host));
  if (hosts.size > 1 && keyFile !== undefined) {
    throw new Error(
      "--key-file has the key of one mirror, and --behind and --push-to name two: set RELAY_KEYS for --behind.",
    );
  }
  if (pushTo !== undefined) parsePushTo(pushTo);
  const key = keyFile === undefined ? null : await readKey(resolve(cwd, keyFile));
  return {
    ...(behind !== undefined && { behind: { url: behind, key } }),
    ...(pushTo !== undefined && { pushTo: { url: pushTo, key } }),
  };
}

/** @param cwd what paths are relative to. @throws Error if only one of the two files is given. */
export function tlsOf({ tlsCert, tlsKey }: Settings, cwd: string): Pick<MirrorOptions, "tls"> {
  if (tlsCert === undefined && tlsKey === undefined) return {};
  if (tlsCert === undefined || tlsKey === undefined) {
    const missing = tlsCert === undefined ? "--tls-cert" : "--tls-key";
    throw new Error(`--tls-cert and --tls-key are one pair: ${missing} is missing.`);
  }
  return { tls: { certificate: resolve(cwd, tlsCert), key: resolve(cwd, tlsKey) } };
}

/** Resolves once a signal has stopped it; a second one doesn't wait for requests under way. */
function stopped(mirror: RunningMirror, signals: EventEmitter, output: Output): Promise<number> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      const hint = setTimeout(() => output.line(STOPPING), HINT_AFTER);
      mirror
        .stop()
        .finally(() => clearTimeout(hint))
        .then(() => resolve(EXIT.good), reject);
    };
    for (const signal of SIGNALS) signals.on(signal, stop);
  });
}

function announce(mirror: RunningMirror, { data, host }: Settings, output: Output): void {
  const { url, port, upstreams, keys, ways, keyPair, adminKeyFile } = mirror;
  const reachable = reachableUrls(host, port, keyPair ? "https" : "http");
  const listing = reachable.length > 1 ? `\n  addresses  ${reachable.join(", ")}` : "";
  const [first = url] = reachable;
  const waysOut = wayLines(ways, upstreams).map((line, index) => `${index === 0 ? WAYS : NEXT_WAY}${line}\n`);
  const forDocker = keyPair ? certifiedUrl(new URL(first), keyPair) : first;
  output.line(`Portolan listens on ${url} and keeps what it pulls in ${data}
${listing}
  mirrors    ${mirrorsText(upstreams)}
${mirror.pushesTo === null ? "" : `  hosted     sent to and read from ${mirror.pushesTo}\n`}${keyPair ? `  TLS        for ${shownCertificate(keyPair)}\n` : ""}${waysOut.join("")}  access     ${keys === null ? "open to everyone who can reach it" : `for the holders of ${count(keys.length, "key")}`}
  page       ${new URL(forDocker).href}
  owner      ${new URL("/_/owner", forDocker)}, with ${adminKeyFile === null ? "your ADMIN_KEY" : `the key in ${adminKeyFile}`}

${keys === null ? openUse(forDocker) : keyedUse(forDocker, keys)}
`);
  if (keys === null && !isLoopback(new URL(url))) output.errorLine(warning(OPEN_TO_OTHERS));
}

function openUse(url: string): string {
  return `Docker: put this in /etc/docker/daemon.json and reload docker
  { "registry-mirrors": ["${url}"] }
or pull through it by name
  docker pull ${new URL(url).host}/ghcr.io/OWNER/IMAGE:TAG`;
}

function keyedUse(url: string, keys: readonly string[]): string {
  if (keys.length === 0) {
    return `It is closed, because there are no keys yet. Make one
  npm run portolan -- key add NAME
or open it to everyone who can reach it
  npm start -- --var ACCESS=open`;
  }
  const { host } = new URL(url);
  return `Docker: log in with any user name and a key as the password, and pull through it by name
  docker login ${host}
  docker pull ${host}/ghcr.io/OWNER/IMAGE:TAG`;
}

/** The runtime's messages are about its own code, which doesn't help an operator. */
function print(message: Message, output: Output): void {
  if (message.from === "runtime") return;
  if (isRoutine(message)) output.line(messageLine(message));
  else output.errorLine(message.from === "mirror" ? warning(messageLine(message)) : messageLine(message));
}

async function whyNotStarted(error: unknown, settings: Settings): Promise<string> {
  if (error instanceof AddressError) return whyNotThere(error, settings);
  return error instanceof Error ? error.message : String(error);
}

async function whyNotThere({ code, message }: AddressError, { host, port }: Settings): Promise<string> {
  if (code === "EADDRINUSE") return portTaken(host, port);
  if (code === "EACCES") return "This port needs more rights; choose one above 1023 with --port.";
  return BAD_HOST.includes(code) ? "--host must be an address of this machine." : message;
}

async function portTaken(host: string, port: number): Promise<string> {
  const another = "choose another with --port (0 takes any that is free)";
  const [url = ""] = reachableUrls(host, port);
  const health = await healthOf(URL.parse(url)?.hostname ?? host, port);
  return health
    ? `A mirror is running already at ${health.url}; stop it, or ${another}.`
    : `Port ${port} is taken; ${another}.`;
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535)
    throw new InvalidArgumentError("It must be from 0 to 65535.");
  return Number(text);
}

function proxy(text: string): string {
  if (parseProxy(text) === null) throw new InvalidArgumentError(`It ${PROXY_FORM}.`);
  return text;
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

/**
 * A name that is none is refused only where it resembles one: Kubernetes sets others, such as PORTOLAN_PORT, for a service that is
 * called portolan.
 */
function environmentVariables(environment: Environment): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [key, value] of Object.entries(environment)) {
    const name = key.slice(PREFIX.length);
    if (!key.startsWith(PREFIX) || value === undefined || OTHERS.includes(name)) continue;
    if (VARIABLES.includes(name)) given[name] = value;
    else {
      const meant = nearest(name, VARIABLES);
      if (meant !== null) throw new Error(`There is no variable ${key}; did you mean ${PREFIX}${meant}?`);
    }
  }
  return given;
}

function pair(text: string, form: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError(`It must have the form ${form}.`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
