/**
 * TLS for the mirror: a workerd without a Worker, which decrypts and passes requests on to the one that serves them. Another
 * certificate needs another process of this kind only: both have the same listening socket, so that no connection is refused, and
 * the earlier one ends after its last response.
 */
import { spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { listenOn } from "./address.ts";
import type { KeyPair } from "./certificate.ts";
import { type Message, readMessage, WORKERD } from "./runtime.ts";
import { terminatorText } from "./workerd-config.ts";

export interface TerminatorPaths {
  /** A folder where only the owner can read: the key is there for as long as workerd takes to read it. */
  folder: string;
  /** The socket that requests are passed on to. */
  mirror: string;
}

/** A line of the shell's or of workerd's control pipe. */
type Report =
  | { event: "listen" }
  | { event: "start"; process: number }
  | { event: "end"; process: number; code: number };

/**
 * Keeps the listening socket, as descriptor 4, and starts a process with it for each line, which names a configuration. However
 * Node ends, the pipe that it reads from does too, and everything is ended with it.
 */
const KEEPER = `umask 077
while IFS= read -r file; do
  {
    "$@" "$file" --socket-fd=https=4 --control-fd=3 </dev/null &
    echo "{\\"event\\":\\"start\\",\\"process\\":$!}" >&3
    wait $!
    echo "{\\"event\\":\\"end\\",\\"process\\":$!,\\"code\\":$?}" >&3
  } &
done
kill -KILL 0`;

export class TlsTerminator {
  readonly port: number;
  /** How it ended, if it does so by itself: `code 1`. */
  readonly ended: Promise<string>;
  readonly #commands: Writable;
  readonly #exited: Promise<unknown>;
  readonly #running = new Set<number>();
  #current: number | null = null;
  #onReport: (report: Report) => void = () => {};
  #complaints: string[] | null = null;
  #hasEnded: (how: string) => void = () => {};

  /**
   * Listens. Connections wait until there is a certificate.
   * @param address a name or address of this machine, and a port; 0 chooses any that is free.
   * @throws AddressError
   */
  static async listen(
    address: { host: string; port: number },
    onMessage: (message: Message) => void,
  ): Promise<TlsTerminator> {
    const server = await listenOn(address.host, address.port);
    try {
      return new TlsTerminator(server, onMessage);
    } finally {
      server.close();
    }
  }

  private constructor(server: Server, onMessage: (message: Message) => void) {
    this.port = (server.address() as AddressInfo).port;
    this.ended = new Promise((resolve) => {
      this.#hasEnded = resolve;
    });
    const keeper = spawn("sh", ["-c", KEEPER, "sh", WORKERD, "serve"], {
      // stdin for commands, stdout, stderr, reports, and the listening socket.
      stdio: ["pipe", "pipe", "pipe", "pipe", descriptorOf(server)],
      // In a process group of its own, which the shell ends as a whole, and which a terminal's Ctrl-C doesn't reach.
      detached: true,
    });
    const [commands, stdout, stderr, reports] = keeper.stdio as [
      Writable,
      Readable,
      Readable,
      Readable,
      null,
    ];
    this.#commands = commands.on("error", () => {});
    for (const output of [stdout, stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        const message = readMessage(line);
        this.#complaints?.push(message.text);
        onMessage(message);
      });
    }
    createInterface({ input: reports }).on("line", (line) => this.#take(JSON.parse(line)));
    this.#exited = new Promise<string>((resolve) => {
      keeper.once("error", (error) => resolve(error.message));
      keeper.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
    }).then((how) => {
      // Where the shell was ended by others, what it started is still there.
      for (const process of this.#running) this.#signal(process, "SIGKILL");
      this.#hasEnded(how);
    });
  }

  /**
   * Serves new connections with a key pair from now on; responses that have begun go on until they end. Not to be called again
   * before it has returned.
   * @throws Error with what workerd said if it can't use the pair; the one before stays in use.
   */
  async use(pair: KeyPair, { folder, mirror }: TerminatorPaths): Promise<void> {
    const file = join(folder, "tls.capnp");
    await writeFile(file, terminatorText(pair, mirror), { mode: 0o600 });
    try {
      const previous = this.#current;
      this.#current = await this.#start(file);
      if (previous !== null) this.#signal(previous, "SIGTERM");
    } finally {
      await rm(file, { force: true });
    }
  }

  /**
   * Waits at most `grace` milliseconds for responses in progress, and ends. New connections aren't accepted meanwhile, and end
   * with it: workerd doesn't close a socket that it was given.
   */
  async stop(grace: number): Promise<void> {
    this.#current = null;
    const over = Promise.race([this.#allEnded(), this.#exited]);
    for (const process of this.#running) this.#signal(process, "SIGTERM");
    let overdue: NodeJS.Timeout | undefined;
    const tooLong = new Promise((resolve) => {
      overdue = setTimeout(resolve, grace);
    });
    await Promise.race([over, tooLong]);
    clearTimeout(overdue);
    this.#commands.end();
    await this.#exited;
  }

  /** @returns the process, once it listens. */
  #start(file: string): Promise<number> {
    const complaints: string[] = [];
    this.#complaints = complaints;
    const started = new Promise<number>((resolve, reject) => {
      let process: number | null = null;
      let isListening = false;
      this.#onReport = (report) => {
        if (report.event === "start") process = report.process;
        if (report.event === "listen") isListening = true;
        if (report.event === "end" && report.process === process) {
          reject(new Error(complaints.join("\n") || `workerd exited with ${report.code}`));
        } else if (process !== null && isListening) resolve(process);
      };
      this.ended.then((how) => reject(new Error(`the shell that starts workerd has ended (${how})`)));
      this.#commands.write(`${file}\n`);
    });
    return started.finally(() => {
      this.#complaints = null;
    });
  }

  #take(report: Report): void {
    if (report.event === "start") this.#running.add(report.process);
    if (report.event === "end") {
      this.#running.delete(report.process);
      if (report.process === this.#current) this.#hasEnded(`code ${report.code}`);
    }
    this.#onReport(report);
  }

  #allEnded(): Promise<void> {
    return new Promise((resolve) => {
      const look = () => this.#running.size === 0 && resolve();
      this.#onReport = look;
      look();
    });
  }

  #signal(process: number, signal: NodeJS.Signals): void {
    if (!this.#running.has(process)) return;
    try {
      globalThis.process.kill(process, signal);
    } catch {
      // It has just ended.
    }
  }
}

/** Node can hand a listening socket only to a child that is Node, unless it is named by its descriptor. */
function descriptorOf(server: Server): number {
  const { _handle } = server as unknown as { _handle: { fd: number } };
  return _handle.fd;
}
