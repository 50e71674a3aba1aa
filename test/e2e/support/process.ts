// Starts the programs that the tests drive, each with a deadline, and makes sure that nothing of them outlives
// the test: every program leads a process group of its own, and whatever it starts is in its PID namespace.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Daemon {
  /** Of the process that leads its group. */
  pid: number;
  /** The last lines it wrote, for a failure's message. */
  log(): Promise<string>;
  /** SIGTERM, and SIGKILL after ten seconds; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL at once, as a power cut would. */
  kill(): Promise<void>;
}

export interface DaemonOptions {
  name: string;
  command: readonly string[];
  /** Its log is written here. */
  folder: string;
  environment?: Record<string, string>;
  workingDirectory?: string;
  /** True once it serves; polled. A rejection counts as "not yet". */
  ready: () => Promise<boolean>;
  /** Milliseconds. */
  deadline?: number;
}

/** Milliseconds for one command of a client; less than a test's time-out (vitest.e2e.config.ts), so that the error says which. */
export const CLIENT_DEADLINE = 120_000;
const LOG_TAIL = 4_000;
const STOP_DEADLINE = 10_000;

/** Where clients look for the origin when the mirror fails them: nothing listens there unless a test starts one. */
export const ORIGIN_ADDRESS = "127.77.0.1";
/** What the resolver of a proxy in TUN mode answers for `FAKED`, if it is in fake-ip mode. */
export const FAKE_IP = "198.18.0.1";
export const FAKED = "quay.io";
const ORIGINS = ["registry-1.docker.io", "auth.docker.io", "index.docker.io", "docker.io", "ghcr.io"];
const MIRRORS = ["mirror.test", "docker.mirror.test", "ghcr.mirror.test"];

/**
 * A command that runs `command` in new PID and mount namespaces, where the names above are this machine: the mirror's
 * resolve without a name server, and a client that falls back to its origin never reaches a real registry. /run is empty there, so that this machine's own daemons and the tests' never meet.
 * All of it ends with this process, even if that is killed.
 */
export function isolated(hostsFile: string, command: readonly string[]): string[] {
  const unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
  const script = 'mount --bind "$0" /etc/hosts && mount -t tmpfs tmpfs /run && exec "$@"';
  return ["setpriv", "--pdeathsig", "KILL", ...unshare, "sh", "-c", script, hostsFile, ...command];
}

/**
 * A folder of its own for one program, with the hosts file for `isolated` in it.
 * @param mirrors names of the mirror besides those above
 */
export async function workspace(
  name: string,
  mirrors: readonly string[] = [],
): Promise<{ folder: string; hosts: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  const hosts = join(folder, "hosts");
  await writeFile(
    hosts,
    [
      `127.0.0.1 localhost ${[...MIRRORS, ...mirrors].join(" ")}`,
      `${ORIGIN_ADDRESS} ${ORIGINS.join(" ")}`,
      `${FAKE_IP} ${FAKED}\n`,
    ].join("\n"),
  );
  await mkdir(join(folder, "home"));
  return { folder, hosts, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Runs a command to its end and returns what it printed; any other end than success is an error that tells all. */
export async function run(
  command: readonly string[],
  options: { environment?: Record<string, string>; deadline?: number; workingDirectory?: string } = {},
): Promise<string> {
  const [program = "", ...rest] = command;
  const child = spawn(program, rest, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: environment(options.environment),
    ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
  });
  const deadline = options.deadline ?? 60_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signal(child, "SIGKILL");
  }, deadline);
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  try {
    await once(child, "close");
  } finally {
    clearTimeout(timer);
  }
  if (child.exitCode === 0 && !late) return output.stdout;
  const end = late
    ? `did not end within ${deadline / 1000} s`
    : `ended with ${child.exitCode ?? child.signalCode}`;
  throw new Error(`${command.join(" ")}\n${end}\n${(output.stdout + output.stderr).slice(-LOG_TAIL)}`);
}

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { name, folder, deadline = 20_000 } = options;
  const logFile = join(folder, `${name}.log`);
  const log = async (): Promise<string> => (await readFile(logFile, "utf8")).slice(-LOG_TAIL);
  const [program = "", ...rest] = options.command;
  const descriptor = openSync(logFile, "a");
  const child = spawn(program, rest, {
    detached: true,
    stdio: ["ignore", descriptor, descriptor],
    // Files that it leaves when killed are removed with its folder.
    env: environment({ TMPDIR: folder, ...options.environment }),
    ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
  });
  closeSync(descriptor);
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const end = async (first: NodeJS.Signals): Promise<void> => {
    signal(child, first);
    const timer = setTimeout(() => signal(child, "SIGKILL"), STOP_DEADLINE);
    await gone;
    clearTimeout(timer);
  };
  const daemon: Daemon = {
    pid: child.pid ?? 0,
    log,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
  try {
    await waitFor(`${name} to serve`, deadline, async () => {
      if (ended(child))
        throw new Fatal(`${name} ended with ${child.exitCode ?? child.signalCode ?? "no start"}`);
      return options.ready();
    });
  } catch (error) {
    await daemon.kill();
    throw new Error(`${error instanceof Error ? error.message : error}\n${await log()}`);
  }
  return daemon;
}

/** A reason to stop waiting before the deadline. */
class Fatal extends Error {}

/** Polls until the result is true; a failure names what was awaited. */
export async function waitFor(what: string, deadline: number, ask: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + deadline;
  let last = "";
  while (Date.now() < until) {
    try {
      if (await ask()) return;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = `: ${error instanceof Error ? error.message : error}`;
    }
    await sleep(50);
  }
  throw new Error(`waited ${deadline / 1000} s for ${what}${last}`);
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Nothing of this shell's settings reaches a client: proxies, registry logins and certificates would change what it does. */
function environment(extra: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: tmpdir(), TMPDIR: tmpdir(), LANG: "C.UTF-8", ...extra };
}

function ended(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || ended(child)) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // Gone between the look and the signal.
  }
}
