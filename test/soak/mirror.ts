/** The mirror under soak: `npm start` in separate processes, so that it can be killed as by a power cut. */
import { join } from "node:path";
import { Serve } from "../scripts/support/start.ts";

/** Seconds; short, so that tags are revalidated often. */
const TAG_TTL = 2;

export class MirrorProcess {
  readonly data: string;
  readonly #folder: string;
  readonly #args: readonly string[];
  #serve: Serve | null = null;
  #url: string | null = null;
  /** What it wrote to standard error, over all its runs. */
  #errors = "";

  /** @param upstreams as `npm start` takes them; only these may be pulled from. */
  constructor(folder: string, upstreams: readonly string[]) {
    this.#folder = folder;
    this.data = join(folder, "data");
    this.#args = ["--port", "0", "--data", this.data, "--var", `TAG_TTL=${TAG_TTL}`, ...upstreams];
  }

  /** Null while it isn't running. */
  get url(): string | null {
    return this.#url;
  }

  get errors(): string {
    return this.#errors + (this.#serve?.errors ?? "");
  }

  async start(): Promise<void> {
    this.#serve = new Serve(this.#args, { folder: this.#folder });
    this.#url = await this.#serve.ready();
  }

  /** Kills all its processes at once. */
  async kill(): Promise<void> {
    this.#url = null;
    await this.#serve?.kill();
    this.#clear();
  }

  /** Stops it as Ctrl-C does. @throws Error if it doesn't exit in time, or exits with an error. */
  async stop(): Promise<void> {
    this.#url = null;
    this.#serve?.signal("SIGINT", "group");
    const ended = await this.#serve?.end();
    this.#clear();
    if (ended && ended.code !== 0) throw new Error(`the mirror exited with ${ended.code ?? ended.signal}`);
  }

  #clear(): void {
    this.#errors = this.errors;
    this.#serve = null;
  }
}
