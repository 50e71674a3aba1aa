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
}

/** Milliseconds; together with the time-outs, less than the platform lets work go on behind a response. */
const PAUSES = [1_000, 5_000];
/** Milliseconds for a response. */
const TIME_OUT = 5_000;

export class Webhooks {
  readonly #options: WebhookOptions;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /**
   * Sends the moves in the background, in one message to each webhook. What can't be delivered is logged and lost.
   * Private tags are left out: what they are called is for the operator's eyes.
   */
  announce(moves: readonly TagMove[], waitUntil: WaitUntil): void {
    const shown = moves.filter(({ visibility }) => visibility === "public");
    const last = shown.at(-1);
    if (!last) return;
    const { urls, now } = this.#options;
    const body = JSON.stringify({
      type: "tag.moved",
      timestamp: new Date(now()).toISOString(),
      data: { moves: shown.map(described) },
    });
    // A receiver knows by it what it has had already.
    const id = `msg_${last.id}_${last.at}`;
    for (const url of urls) waitUntil(this.#deliver(url, id, body));
  }

  async #deliver(url: URL, id: string, body: string): Promise<void> {
    const { pauses = PAUSES } = this.#options;
    let problem = "";
    for (const pause of [...pauses, null]) {
      problem = await this.#send(url, id, body);
      if (problem === "" || pause === null) break;
      await new Promise((resolve) => setTimeout(resolve, pause));
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

async function signature(secret: Uint8Array<ArrayBuffer>, content: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
  return btoa(String.fromCharCode(...new Uint8Array(signed)));
}
