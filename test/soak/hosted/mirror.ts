/** The mirror under soak: two processes, each of which can be killed as by a power cut. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { processTree } from "../../bench/accounting.ts";
import { DEADLINE, until } from "../../sockets/support/deadline.ts";

export type Victim = "workerd" | "node";

export interface Settings {
  adminKey: string;
  /** Milliseconds for which unreferenced content stays. */
  grace: number;
}

export class HostedMirror {
  readonly data: string;
  readonly settings: Settings;
  #child: ChildProcess | null = null;
  #url: string | null = null;
  /** What it wrote to standard error, over all its runs. */
  log = "";
  /** How often it was killed. */
  kills = 0;

  constructor(folder: string, settings: Settings) {
    this.data = join(folder, "data");
    this.settings = settings;
  }

  /** Null while it isn't running. */
  get url(): string | null {
    return this.#url;
  }

  async start(): Promise<void> {
    const script = fileURLToPath(new URL("host.ts", import.meta.url));
    const child = fork(script, [JSON.stringify({ data: this.data, ...this.settings })], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.log += text;
    });
    let port = 0;
    child.on("message", (message: { port: number }) => {
      port = message.port;
    });
    await until("the mirror to start", DEADLINE, () => {
      if (child.exitCode !== null)
        throw new Error(`the mirror ended at its start:\n${this.log.slice(-2_000)}`);
      return port !== 0;
    });
    this.#url = `http://127.0.0.1:${port}`;
  }

  /** Kills one of its processes, and makes sure that the other ends too. */
  async kill(victim: Victim): Promise<void> {
    const { pid } = this.#running();
    const tree = processTree(pid);
    const workerd = tree.find(({ name }) => name === "workerd")?.pid;
    if (workerd === undefined) throw new Error("the mirror has no workerd");
    this.#url = null;
    this.kills++;
    process.kill(victim === "workerd" ? workerd : pid, "SIGKILL");
    // Without its runtime the other process only says so, and lets its owner end it.
    if (victim === "workerd") process.kill(pid, "SIGKILL");
    await until("both processes to end", DEADLINE, () =>
      [pid, workerd].every((each) => processTree(each).length === 0),
    );
    this.#child = null;
  }

  async stop(): Promise<void> {
    this.#url = null;
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    await ended;
  }

  #running(): { pid: number } {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the mirror isn't running");
    return { pid };
  }
}
