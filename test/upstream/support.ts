/** Shared by the tests of src/upstream: upstreams made for a test, a clock that only the test moves, and a client. */
import { type Failure, UpstreamError } from "../../src/registry/failure.ts";
import { UpstreamClient } from "../../src/upstream/client.ts";
import type { Upstream } from "../../src/upstream/registries.ts";
import type { Relay } from "../../src/upstream/relays.ts";
import type { UpstreamRequest } from "../../src/upstream/request.ts";

export const DIGEST = `sha256:${"a1".repeat(32)}`;

export interface UpstreamSketch {
  name?: string;
  endpoints?: readonly string[];
  realms?: readonly string[];
}

/** An upstream at `registry.test`, with `auth.test` for its tokens, as the fake registry is by default. */
export function upstreamOf(sketch: UpstreamSketch = {}): Upstream {
  const { name = "registry.test", endpoints = [`https://${name}`], realms = ["auth.test"] } = sketch;
  return {
    name,
    aliases: [],
    endpoints: endpoints.map((url) => new URL(url)),
    realms,
    tagTtl: 300,
    login: false,
  };
}

/** A clock that only moves when the test advances it. */
export function createClock() {
  let milliseconds = Date.UTC(2026, 0, 1);
  return {
    now: () => milliseconds,
    pass: (seconds: number) => {
      milliseconds += seconds * 1000;
    },
  };
}

export type Fetch = typeof fetch;

/** A fetch made of a plain function; the requests it received are in `requested`. */
export function stub(response: (request: Request) => Response | Promise<Response>) {
  const requested: Request[] = [];
  const stubbed: Fetch = async (input, init) => {
    const request = new Request(input, init);
    requested.push(request);
    return response(request);
  };
  return { fetch: stubbed, requested };
}

/** A client that requests `owner/image` of `registry.test` unless the request says otherwise. */
export function createClient(
  fetch: Fetch,
  now: () => number = Date.now,
  logins: readonly { username: string; password: string }[] = [],
  relays: readonly Relay[] = [],
) {
  const client = new UpstreamClient({ fetch, now, credentials: { "registry.test": logins }, relays });
  const background: Promise<unknown>[] = [];
  const request = (sketch: Partial<UpstreamRequest> = {}): Promise<Response> =>
    client.fetch(
      {
        upstream: upstreamOf(),
        repository: "owner/image",
        method: "GET",
        path: "manifests/latest",
        ...sketch,
      },
      (work) => background.push(work),
    );
  return {
    request,
    isPublic: (sketch: Partial<UpstreamRequest>): Promise<boolean> =>
      client.isPublic(
        { upstream: upstreamOf(), repository: "owner/image", path: "manifests/latest", ...sketch },
        (work) => background.push(work),
      ),
    /** The work that continues after the request's end. */
    background,
    status: async (sketch: Partial<UpstreamRequest> = {}): Promise<number> => {
      const response = await request(sketch);
      await response.body?.cancel();
      return response.status;
    },
    failure: (sketch: Partial<UpstreamRequest> = {}): Promise<Failure> => failureOf(request(sketch)),
  };
}

/** The failure with which a promise rejects; throws if it doesn't, or rejects with another error. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UpstreamError) return error.failure;
    throw error;
  }
  throw new Error("it didn't fail");
}
