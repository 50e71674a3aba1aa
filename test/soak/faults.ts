/** What goes wrong at the upstreams: which requests, how, and how often. */
import { setTimeout as sleep } from "node:timers/promises";
import { errorOfStatus, storageError, withBody, withHeaders } from "../support/fake-registry/answers.ts";
import { behaviours } from "../support/fake-registry.ts";
import type { RawFaults } from "../support/node/raw-faults.ts";
import type { Random } from "./random.ts";

export interface Asked {
  request: Request;
  kind: "token" | "manifest" | "blob" | "storage" | "other";
  digest: string | null;
  /** Whether an answer would bring content with it. */
  hasBody: boolean;
}

/** What a request would get without faults. */
export type Answer = (request: Request) => Promise<Response>;

interface Fault {
  name: string;
  weight: number;
  suits: (asked: Asked) => boolean;
  /** Null where it came to nothing after all, with what the request gets instead. */
  act: (asked: Asked, answer: Answer) => Promise<{ response: Response; happened: boolean }>;
}

const MIB = 1024 * 1024;
const SECOND = 1000;
/** Of one object, so that every one can be had in the end within the mirror's first few attempts. */
const MOST_PER_OBJECT = 3;
/** How much likelier a fault is that has never happened. */
const OVERDUE = 10;
/** Bytes and milliseconds between them of a body that is held up on purpose. */
const SLOW_PIECE = 64 * 1024;
const SLOW_PAUSE = 50;

export class Faults {
  /** How often each has happened. */
  readonly counts: Record<string, number> = {};
  /** How often each object was sent with wrong bytes, for which nobody has been found yet who got them. */
  readonly corrupted = new Map<string, number>();
  /** Blobs whose bodies come slowly the first time. */
  readonly slow = new Set<string>();
  readonly #random: Random;
  readonly #table: readonly Fault[];
  readonly #perObject = new Map<string, number>();
  #rate: number;
  #outageUntil = 0;

  /**
   * @param rate of requests that go wrong.
   * @param raw for what only a bare socket can do.
   * @param bytesOf the true content of a blob, if it is known.
   */
  constructor(random: Random, rate: number, raw: RawFaults, bytesOf: (digest: string) => Uint8Array | null) {
    this.#random = random;
    this.#rate = rate;
    this.#table = [...this.#statuses(), ...this.#connections(raw, bytesOf), ...this.#bodies()];
    for (const { name } of this.#table) this.counts[name] = 0;
    this.counts.outage = 0;
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Nothing goes wrong from now on; what is under way does to its end. */
  stop(): void {
    this.#rate = 0;
    this.#outageUntil = 0;
    this.slow.clear();
  }

  /** Nobody can be reached for so many milliseconds. */
  outage(milliseconds: number): void {
    this.#outageUntil = Date.now() + milliseconds;
  }

  async apply(asked: Asked, answer: Answer): Promise<Response> {
    if (Date.now() < this.#outageUntil) {
      this.#count("outage");
      throw new TypeError("the upstream is down");
    }
    if (asked.digest !== null && asked.hasBody && this.slow.delete(asked.digest)) {
      return behaviours.trickle(SLOW_PIECE, SLOW_PAUSE).transform(await answer(asked.request), asked.request);
    }
    const suffered = this.#perObject.get(asked.digest ?? "") ?? 0;
    if (!this.#random.chance(this.#rate) || suffered >= MOST_PER_OBJECT) return answer(asked.request);
    const suitable = this.#table
      .filter(({ suits }) => suits(asked))
      // What hasn't happened yet is due: a short run shall see everything, too.
      .map((each) => (this.counts[each.name] === 0 ? { ...each, weight: each.weight * OVERDUE } : each));
    if (suitable.length === 0) return answer(asked.request);
    const fault = this.#random.weighted(suitable);
    const counted = () => {
      this.#count(fault.name);
      if (asked.digest !== null) this.#perObject.set(asked.digest, suffered + 1);
    };
    try {
      const { response, happened } = await fault.act(asked, answer);
      if (happened) counted();
      return response;
    } catch (error) {
      counted();
      throw error;
    }
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  #statuses(): Fault[] {
    const isContent = ({ kind }: Asked) => kind === "manifest" || kind === "blob";
    const isServed = ({ kind }: Asked) => kind !== "token" && kind !== "other";
    const status = (
      name: string,
      weight: number,
      suits: Fault["suits"],
      code: number,
      headers: Record<string, string> = {},
    ): Fault => ({
      name,
      weight,
      suits,
      act: async () => ({ response: errorOfStatus(code, headers), happened: true }),
    });
    const failing = [429, 500, 503];
    return [
      status("429", 3, isContent, 429),
      status("429 with Retry-After", 1, isContent, 429, { "retry-after": "1" }),
      status("500", 3, isServed, 500),
      status("502", 3, isServed, 502),
      status("503", 3, isServed, 503),
      status("HEAD 405", 8, ({ kind, request }) => kind === "manifest" && request.method === "HEAD", 405),
      {
        name: "token endpoint failing",
        weight: 10,
        suits: ({ kind }) => kind === "token",
        act: async () => ({ response: errorOfStatus(this.#random.pick(failing)), happened: true }),
      },
      {
        name: "storage 403",
        weight: 5,
        suits: ({ kind }) => kind === "storage",
        act: async () => ({ response: storageError(403, "AccessDenied"), happened: true }),
      },
      {
        name: "401 once",
        weight: 6,
        suits: ({ kind, request }) => kind !== "token" && request.headers.has("authorization"),
        act: async ({ request }, answer) => {
          const headers = new Headers(request.headers);
          headers.delete("authorization");
          return { response: await answer(new Request(request, { headers })), happened: true };
        },
      },
    ];
  }

  #connections(raw: RawFaults, bytesOf: (digest: string) => Uint8Array | null): Fault[] {
    let served = 0;
    return [
      {
        name: "cut before an answer",
        weight: 4,
        suits: () => true,
        act: () => Promise.reject(new TypeError("the connection is lost")),
      },
      {
        name: "stall of a second",
        weight: 3,
        suits: () => true,
        act: async ({ request }, answer) => {
          await sleep(SECOND, null, { signal: request.signal });
          return { response: await answer(request), happened: true };
        },
      },
      {
        name: "connection reset",
        weight: 4,
        suits: ({ hasBody, digest }) => hasBody && digest !== null && bytesOf(digest) !== null,
        act: async ({ digest }) => {
          const body = bytesOf(digest ?? "") ?? new Uint8Array(0);
          const path = `/reset/${++served}`;
          const after = this.#random.below(body.byteLength);
          const headers = { "Content-Type": "application/octet-stream" };
          raw.serve(path, { body, headers, fault: { type: "reset", after }, ranges: true });
          return { response: Response.redirect(raw.url + path, 307), happened: true };
        },
      },
    ];
  }

  #bodies(): Fault[] {
    const noteWrong = (digest: string | null) => {
      if (digest !== null) this.corrupted.set(digest, (this.corrupted.get(digest) ?? 0) + 1);
    };
    const body = (
      name: string,
      weight: number,
      change: (response: Response, asked: Asked, length: number) => Response | Promise<Response>,
    ): Fault => ({
      name,
      weight,
      suits: ({ hasBody }) => hasBody,
      act: async (asked, answer) => {
        const response = await answer(asked.request);
        if (!response.ok || response.body === null) return { response, happened: false };
        const length = Number(response.headers.get("content-length") ?? "0");
        return { response: await change(response, asked, length), happened: true };
      },
    });
    return [
      body("cut in the middle", 5, (response, { request }, length) =>
        behaviours.cutAfter(this.#random.below(length)).transform(response, request),
      ),
      body("wrong bytes", 5, (response, { request, digest }) => {
        noteWrong(digest);
        return behaviours.corrupted().transform(response, request);
      }),
      body("stall in the middle", 3, (response, { request }, length) =>
        behaviours.trickle(Math.ceil(length / 2), SECOND).transform(response, request),
      ),
      body("slow trickle", 3, (response, { request }, length) =>
        behaviours.trickle(Math.ceil(length / 20), 100).transform(response, request),
      ),
      body("no length", 2, (response) => withHeaders(response, { "content-length": null })),
      body("empty with 200", 1, async (response, { digest }) => {
        noteWrong(digest);
        await response.body?.cancel();
        return withBody(response, new Uint8Array(0), { "content-length": "0" });
      }),
      body("a page with 200", 1, (response, { request, digest }) => {
        noteWrong(digest);
        return behaviours.htmlPage().transform(response, request);
      }),
    ];
  }
}

/** The largest layer a victim of the kill is made of: at the pace above it takes some seconds. */
export const SLOW_LAYER = 4 * MIB;
