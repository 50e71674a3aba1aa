/** Webhooks: the operator's own services are sent which public tags moved (https://www.standardwebhooks.com). */
import type { WaitUntil } from "../registry/wait-until.ts";
import type { TagMove } from "../store/tag-history.ts";

export interface WebhookOptions {
  urls: readonly URL[];
  /** The key of the signatures; null for none. */
  secret: Uint8Array<ArrayBuffer> | null;
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds between two tries. */
  pauses?: readonly number[];
  /** Milliseconds for which moves are gathered. */
  gather?: number;
}

/** Milliseconds; together with the time-outs, less than the platform lets work go on behind a response. */
const PAUSES = [1_000, 5_000];
/** Milliseconds: what moves meanwhile is one message, so that no flood of moving tags is a flood of messages. */
const GATHER = 5_000;
/** Moves in a message. */
const MOST = 100;
/** Milliseconds for a response. */
const TIME_OUT = 5_000;

export class Webhooks {
  readonly #options: WebhookOptions;
  #gathered: TagMove[] = [];

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /**
   * Sends the moves in the background, those of a few seconds in one message to each webhook. What can't be delivered is logged
   * and lost. Private tags are left out: what they are called is for the operator's eyes.
   */
  announce(moves: readonly TagMove[], waitUntil: WaitUntil): void {
    const shown = moves.filter(({ visibility }) => visibility === "public");
    const { urls, gather = GATHER } = this.#options;
    if (shown.length === 0 || urls.length === 0) return;
    const isFirst = this.#gathered.length === 0;
    this.#gathered.push(...shown);
    if (isFirst) waitUntil(pause(gather).then(() => this.#flush()));
  }

  async #flush(): Promise<void> {
    const moves = this.#gathered;
    this.#gathered = [];
    const last = moves.at(-1);
    if (!last) return;
    const { urls, now } = this.#options;
    const body = JSON.stringify({
      type: "tag.moved",
      timestamp: new Date(now()).toISOString(),
      data: { moves: moves.slice(0, MOST).map(described), more: Math.max(0, moves.length - MOST) },
    });
    // A receiver knows by it what it has had already.
    const id = `msg_${last.id}_${last.at}`;
    await Promise.all(urls.map((url) => this.#deliver(url, id, body)));
  }

  async #deliver(url: URL, id: string, body: string): Promise<void> {
    const { pauses = PAUSES } = this.#options;
    let problem = "";
    for (const wait of [...pauses, null]) {
      problem = await this.#send(url, id, body);
      if (problem === "" || wait === null) break;
      await pause(wait);
    }
    // The rest of the URL may be a secret.
    if (problem !== "") console.warn(`the webhook at ${url.host} wasn't delivered: ${problem}`);
  }

  /** @returns why it failed; "" where it didn't. */
  async #send(url: URL, id: string, body: string): Promise<string> {
    const { secret, now, fetch } = this.#options;
    const timestamp = String(Math.floor(now() / 1000));
    const headers = {
      "Content-Type": "application/json",
      "User-Agent": "Portolan",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      ...(secret && { "webhook-signature": `v1,${await signature(secret, `${id}.${timestamp}.${body}`)}` }),
    };
    try {
      const signal = AbortSignal.timeout(TIME_OUT);
      // A redirect could lead anywhere.
      const response = await fetch(url, { method: "POST", headers, body, signal, redirect: "manual" });
      await response.body?.cancel();
      return response.ok ? "" : `it responded ${response.status}`;
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      return name === "TimeoutError" ? "it took too long" : "it can't be reached";
    }
  }
}

function described({ upstream, repository, tag, digest, before, at }: TagMove) {
  const image = `${upstream}/${repository}:${tag}`;
  return { image, digest, before, at: new Date(at).toISOString() };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function signature(secret: Uint8Array<ArrayBuffer>, content: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
  return btoa(String.fromCharCode(...new Uint8Array(signed)));
}
