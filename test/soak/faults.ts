/** The faults of the upstreams: which requests fail, how, and how often. */
import { setTimeout as sleep } from "node:timers/promises";
import { errorOfStatus, storageError, withBody, withHeaders } from "../support/fake-registry/answers.ts";
import { behaviours } from "../support/fake-registry.ts";
import type { RawFaults } from "../support/node/raw-faults.ts";
import type { Random } from "./random.ts";

export interface UpstreamRequest {
  request: Request;
  kind: "token" | "manifest" | "blob" | "storage" | "other";
  digest: string | null;
  /** Whether a successful response would carry content. */
  hasBody: boolean;
}

/** Serves a request without faults. */
export type Serve = (request: Request) => Promise<Response>;

interface Fault {
  name: string;
  weight: number;
  suits: (upstreamRequest: UpstreamRequest) => boolean;
  /** `happened` is false if the fault couldn't be applied and the normal response is returned. */
  act: (upstreamRequest: UpstreamRequest, serve: Serve) => Promise<{ response: Response; happened: boolean }>;
}

const MIB = 1024 * 1024;
const SECOND = 1000;
/** Of one object, so that every object can be fetched in the end within the mirror's first few attempts. */
const MOST_PER_OBJECT = 3;
/** How much more likely a fault is that has not happened yet. */
const OVERDUE = 10;
/** Bytes and milliseconds between them of a body that is slowed down on purpose. */
const SLOW_PIECE = 64 * 1024;
const SLOW_PAUSE = 50;
/** Errors of the storage behind a redirect, as S3 words them. */
const STORAGE_ERRORS = [
  [403, "AccessDenied"],
  [500, "InternalError"],
  [503, "SlowDown"],
] as const;
/** Content-Types that are wrong for a manifest or blob. */
const FALSE_TYPES = ["application/octet-stream", "text/plain", "application/vnd.oci.image.layer.v1.tar+gzip"];
/** The wrong Docker-Content-Digest of a tag: no published object has it. */
export const UNKNOWN_DIGEST = `sha256:${"0".repeat(64)}`;

export class Faults {
  /** How often each has happened. */
  readonly counts: Record<string, number> = {};
  /** How often each object was sent with wrong bytes that no client has reported yet. */
  readonly corrupted = new Map<string, number>();
  /** Blobs whose bodies are slow the first time. */
  readonly slow = new Set<string>();
  readonly #random: Random;
  readonly #table: readonly Fault[];
  readonly #perObject = new Map<string, number>();
  #rate: number;
  #outageUntil = 0;

  /**
   * @param rate the share of requests that fail.
   * @param raw for faults that need a raw socket.
   * @param bytesOf the true content of a blob, if it is known.
   */
  constructor(random: Random, rate: number, raw: RawFaults, bytesOf: (digest: string) => Uint8Array | null) {
    this.#random = random;
    this.#rate = rate;
    this.#table = [
      ...this.#statuses(),
      ...this.#connections(raw, bytesOf),
      ...this.#bodies(),
      ...this.#headers(),
    ];
    for (const { name } of this.#table) this.counts[name] = 0;
    this.counts.outage = 0;
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** No new faults from now on; those under way run to their end. */
  stop(): void {
    this.#rate = 0;
    this.#outageUntil = 0;
    this.slow.clear();
  }

  /** No upstream can be reached for so many milliseconds. */
  outage(milliseconds: number): void {
    this.#outageUntil = Date.now() + milliseconds;
  }

  async apply(upstreamRequest: UpstreamRequest, serve: Serve): Promise<Response> {
    if (Date.now() < this.#outageUntil) {
      this.#count("outage");
      throw new TypeError("the upstream is down");
    }
    if (
      upstreamRequest.digest !== null &&
      upstreamRequest.hasBody &&
      this.slow.delete(upstreamRequest.digest)
    ) {
      return behaviours
        .trickle(SLOW_PIECE, SLOW_PAUSE)
        .transform(await serve(upstreamRequest.request), upstreamRequest.request);
    }
    const faultsSoFar = this.#perObject.get(upstreamRequest.digest ?? "") ?? 0;
    if (!this.#random.chance(this.#rate) || faultsSoFar >= MOST_PER_OBJECT)
      return serve(upstreamRequest.request);
    const suitable = this.#table
      .filter(({ suits }) => suits(upstreamRequest))
      // Faults that haven't happened yet are preferred, so that a short run covers all of them.
      .map((each) => (this.counts[each.name] === 0 ? { ...each, weight: each.weight * OVERDUE } : each));
    if (suitable.length === 0) return serve(upstreamRequest.request);
    const fault = this.#random.weighted(suitable);
    const counted = () => {
      this.#count(fault.name);
      if (upstreamRequest.digest !== null) this.#perObject.set(upstreamRequest.digest, faultsSoFar + 1);
    };
    try {
      const { response, happened } = await fault.act(upstreamRequest, serve);
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
    const isContent = ({ kind }: UpstreamRequest) => kind === "manifest" || kind === "blob";
    const isServed = ({ kind }: UpstreamRequest) => kind !== "token" && kind !== "other";
    const isHead = (each: UpstreamRequest) => isServed(each) && each.request.method === "HEAD";
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
      ...[403, 404, 405, 500].map((code) => status(`HEAD ${code}`, 4, isHead, code)),
      {
        name: "token endpoint failing",
        weight: 10,
        suits: ({ kind }) => kind === "token",
        act: async () => ({ response: errorOfStatus(this.#random.pick(failing)), happened: true }),
      },
      {
        name: "token endpoint redirecting",
        weight: 5,
        suits: ({ kind }) => kind === "token",
        act: async ({ request }, serve) => {
          const response = await serve(request);
          const redirect = await behaviours.redirectChain(1).transform(response, request);
          return { response: redirect, happened: redirect !== response };
        },
      },
      ...STORAGE_ERRORS.map(
        ([code, error]): Fault => ({
          name: `storage ${code}`,
          weight: 3,
          suits: ({ kind }) => kind === "storage",
          act: async () => ({ response: storageError(code, error), happened: true }),
        }),
      ),
      {
        name: "401 once",
        weight: 6,
        suits: ({ kind, request }) => kind !== "token" && request.headers.has("authorization"),
        act: async ({ request }, serve) => {
          const headers = new Headers(request.headers);
          headers.delete("authorization");
          return { response: await serve(new Request(request, { headers })), happened: true };
        },
      },
    ];
  }

  #connections(raw: RawFaults, bytesOf: (digest: string) => Uint8Array | null): Fault[] {
    let served = 0;
    return [
      {
        name: "cut before a response",
        weight: 4,
        suits: () => true,
        act: () => Promise.reject(new TypeError("the connection is lost")),
      },
      {
        name: "stall of a second",
        weight: 3,
        suits: () => true,
        act: async ({ request }, serve) => {
          await sleep(SECOND, null, { signal: request.signal });
          return { response: await serve(request), happened: true };
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
      change: (
        response: Response,
        upstreamRequest: UpstreamRequest,
        length: number,
      ) => Response | Promise<Response>,
    ): Fault => ({
      name,
      weight,
      suits: ({ hasBody }) => hasBody,
      act: async (upstreamRequest, serve) => {
        const response = await serve(upstreamRequest.request);
        if (!response.ok || response.body === null) return { response, happened: false };
        const length = Number(response.headers.get("content-length") ?? "0");
        return { response: await change(response, upstreamRequest, length), happened: true };
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
      body("HTML page with 200", 1, (response, { request, digest }) => {
        noteWrong(digest);
        return behaviours.htmlPage().transform(response, request);
      }),
    ];
  }

  /** Right bytes under false headers. */
  #headers(): Fault[] {
    const header = (
      name: string,
      weight: number,
      suits: Fault["suits"],
      changes: () => Record<string, string>,
    ): Fault => ({
      name,
      weight,
      suits,
      act: async (upstreamRequest, serve) => {
        const response = await serve(upstreamRequest.request);
        return response.ok
          ? { response: withHeaders(response, changes()), happened: true }
          : { response, happened: false };
      },
    });
    const isTag = ({ kind, digest }: UpstreamRequest) => kind === "manifest" && digest === null;
    const hasBody = ({ hasBody }: UpstreamRequest) => hasBody;
    return [
      header("wrong digest of a tag", 3, isTag, () => ({ "docker-content-digest": UNKNOWN_DIGEST })),
      header("false Content-Type", 3, hasBody, () => ({ "content-type": this.#random.pick(FALSE_TYPES) })),
      header("false gzip label", 3, hasBody, () => ({ "content-encoding": "gzip" })),
    ];
  }
}

/** The largest layer a victim of the kill is made of: at the pace above it takes some seconds. */
export const SLOW_LAYER = 4 * MIB;
