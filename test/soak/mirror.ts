/** The mirror under soak: `npm start` in processes of its own, so that it can be killed as a power cut would. */
import { join } from "node:path";
import { Serve } from "../scripts/support/start.ts";

/** Seconds; short, so that tags are asked for again and again. */
const TAG_TTL = 2;

export class MirrorProcess {
  readonly data: string;
  readonly #folder: string;
  readonly #args: readonly string[];
  #serve: Serve | null = null;
  #url: string | null = null;
  /** What it wrote to standard error, all its lives together. */
  #errors = "";

  /** @param upstreams as `npm start` takes them; none but these may be pulled from. */
  constructor(folder: string, upstreams: readonly string[]) {
    this.#folder = folder;
    this.data = join(folder, "data");
    this.#args = ["--port", "0", "--data", this.data, "--var", `TAG_TTL=${TAG_TTL}`, ...upstreams];
  }

  /** Null while it doesn't run. */
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

  /** Ends all its processes at once, without a word. */
  async kill(): Promise<void> {
    this.#url = null;
    await this.#serve?.kill();
    this.#bury();
  }

  /** Stops it as Ctrl-C does. @throws Error if it doesn't end in time, or not well. */
  async stop(): Promise<void> {
    this.#url = null;
    this.#serve?.signal("SIGINT", "group");
    const ended = await this.#serve?.end();
    this.#bury();
    if (ended && ended.code !== 0) throw new Error(`the mirror ended with ${ended.code ?? ended.signal}`);
  }

  #bury(): void {
    this.#errors = this.errors;
    this.#serve = null;
  }
}
