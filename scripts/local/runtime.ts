/** workerd as a child process: started with a configuration, heard by its log, ended in good order or with its parent. */
import { type ChildProcess, spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** A line of the log. */
export interface Message {
  /** Who says it: the Worker by its console, the runtime, whose words are for those who work on it, or this process. */
  from: "worker" | "runtime" | "mirror";
  level: string;
  text: string;
}

export interface Runtime {
  /** The port of each socket by its name; 0 for one that has a path. */
  ports: ReadonlyMap<string, number>;
  /** How it ended: `code 1`, `SIGSEGV`. */
  ended: Promise<string>;
  /**
   * Ends it. Requests that are under way may end first; what takes longer than `grace` milliseconds is broken off.
   * Another call cuts the time of the first short.
   */
  stop(grace: number): Promise<void>;
}

const CONFIGURATION = "workerd.capnp";

/** The path of the program. */
export const WORKERD: string = createRequire(import.meta.url)("workerd").default;

/**
 * The shell becomes workerd itself, so that signals reach it. What it leaves behind waits on a pipe whose other end only
 * Node has: however Node ends, the pipe does too, and workerd is ended with it. A line in it says that all is well. What workerd
 * writes is for its owner only.
 */
const WITH_PARENT = 'umask 077; { read -r _ || kill -KILL $$; } <&4 & exec 4<&- && exec "$@"';

/** What workerd reads once, at its start. */
export interface RuntimeFiles {
  /** A folder where only the owner can read. */
  folder: string;
  /** The text of its configuration. It may contain secrets. */
  configuration: string;
  /** What the configuration embeds, by name. */
  embedded: Readonly<Record<string, string>>;
}

/**
 * Starts workerd; returns once it listens on every socket of its configuration.
 * @throws Error with its output if it exits instead.
 */
export async function startRuntime(
  { folder, configuration, embedded }: RuntimeFiles,
  sockets: readonly string[],
  onMessage: (message: Message) => void,
): Promise<Runtime> {
  const files = Object.entries({ ...embedded, [CONFIGURATION]: configuration });
  try {
    for (const [name, text] of files) await writeFile(join(folder, name), text, { mode: 0o600 });
    return await startWorkerd(join(folder, CONFIGURATION), sockets, onMessage);
  } finally {
    for (const [name] of files) await rm(join(folder, name), { force: true });
  }
}

async function startWorkerd(
  configuration: string,
  sockets: readonly string[],
  onMessage: (message: Message) => void,
): Promise<Runtime> {
  const command = [WORKERD, "serve", configuration, "--control-fd=3"];
  const child = spawn("sh", ["-c", WITH_PARENT, "sh", ...command], {
    // stdin, stdout, stderr, workerd's control pipe, and a pipe that closes with this process.
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    // In a separate process group: a terminal's Ctrl-C goes to Node, which lets workerd finish its requests.
    detached: true,
  });
  const [, stdout, stderr, reports, lifeline] = child.stdio as [null, Readable, Readable, Readable, Writable];
  lifeline.on("error", () => {});
  const complaints: string[] = [];
  let isReady = false;
  for (const output of [stdout, stderr]) {
    createInterface({ input: output }).on("line", (line) => {
      const message = readMessage(line);
      if (isReady || message.from === "worker") onMessage(message);
      else complaints.push(message.text);
    });
  }
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
  });
  ended.then(() => lifeline.end("ended\n"));
  const ports = await listening(reports, sockets);
  isReady = ports !== null;
  if (ports === null) throw new Error(complaints.join("\n") || `workerd exited with ${await ended}`);
  return { ports, ended, stop: (grace) => stop(child, ended, grace) };
}

/** @returns null if it ends before it listens on all of them. */
async function listening(
  reports: Readable,
  sockets: readonly string[],
): Promise<ReadonlyMap<string, number> | null> {
  const ports = new Map<string, number>();
  for await (const line of createInterface({ input: reports })) {
    const report: { event: string; socket: string; port: number } = JSON.parse(line);
    if (report.event === "listen") ports.set(report.socket, report.port);
    if (sockets.every((name) => ports.has(name))) return ports;
  }
  return null;
}

async function stop(child: ChildProcess, ended: Promise<string>, grace: number): Promise<void> {
  // On SIGTERM it accepts no new requests and exits after the last one.
  child.kill(grace > 0 ? "SIGTERM" : "SIGKILL");
  const overdue = setTimeout(() => child.kill("SIGKILL"), grace);
  await ended;
  clearTimeout(overdue);
}

/** A line as workerd writes it, with structured logging; its own messages have a `source`. */
export function readMessage(line: string): Message {
  try {
    const { level, message, source } = JSON.parse(line);
    return { from: source === undefined ? "worker" : "runtime", level: String(level), text: String(message) };
  } catch {
    return { from: "runtime", level: "error", text: line };
  }
}
