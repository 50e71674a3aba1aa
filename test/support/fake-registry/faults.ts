/** Faults: which requests go wrong, how, and how often. */
import { errorOfStatus } from "./answers.ts";
import type { RequestKind } from "./routes.ts";

/** Everything given must agree; an empty match is every request. */
export type FaultMatch = {
  kind?: RequestKind;
  method?: string;
  /** Against the path without its query. */
  path?: RegExp;
  host?: string;
  repository?: string;
  /** true: only requests that the registry would have let pass, so that a challenge doesn't use up `times`. */
  authorized?: boolean;
};

export type Behaviour =
  | { status: number; headers?: Record<string, string>; body?: string | Uint8Array }
  /** The connection is lost before a response: fetch throws, a socket is destroyed. */
  | { network: true }
  | { delay: number }
  /** May return what it was given: that doesn't count as one of `times`. */
  | { transform: (response: Response, request: Request) => Response | Promise<Response> };

export type FaultHandle = { readonly hits: number; remove: () => void };

/** What a request is matched by. */
export type Faulty = {
  kind: RequestKind;
  method: string;
  path: string;
  host: string;
  repository: string | null;
  authorized: boolean;
};

type Fault = { match: FaultMatch; behaviour: Behaviour; left: number; hits: number };

export class Faults {
  readonly #faults: Fault[] = [];

  /** Faults act in the order they were added; a status or a lost connection ends the row. `times`: at most so often. */
  add(match: FaultMatch, behaviour: Behaviour, times = Number.POSITIVE_INFINITY): FaultHandle {
    const fault: Fault = { match, behaviour, left: times, hits: 0 };
    this.#faults.push(fault);
    return {
      get hits() {
        return fault.hits;
      },
      remove: () => {
        fault.left = 0;
      },
    };
  }

  clear(): void {
    for (const fault of this.#faults) fault.left = 0;
    this.#faults.length = 0;
  }

  /** Answers a request under its faults. Rejects with a TypeError when the connection is lost, as fetch does. */
  async apply(faulty: Faulty, request: Request, response: () => Promise<Response>): Promise<Response> {
    const transforms: Fault[] = [];
    for (const fault of this.#faults) {
      if (fault.left <= 0 || !matches(fault.match, faulty)) continue;
      const { behaviour } = fault;
      if ("transform" in behaviour) {
        transforms.push(fault);
        continue;
      }
      use(fault);
      if ("network" in behaviour) throw new TypeError("fetch failed: connection lost (fake registry)");
      if ("delay" in behaviour) await pause(behaviour.delay, request.signal);
      else return transformed(respond(behaviour), request, transforms);
    }
    return transformed(await response(), request, transforms);
  }
}

/** Waits; rejects with the signal's reason as soon as it is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** Never resolves, holds no timer, and rejects with the signal's reason. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

async function transformed(
  response: Response,
  request: Request,
  faults: readonly Fault[],
): Promise<Response> {
  let current = response;
  for (const fault of faults) {
    if (fault.left <= 0 || !("transform" in fault.behaviour)) continue;
    const next = await fault.behaviour.transform(current, request);
    if (next !== current) use(fault);
    current = next;
  }
  return current;
}

function respond({ status, headers, body }: Extract<Behaviour, { status: number }>): Response {
  if (body === undefined && status >= 400) return errorOfStatus(status, headers);
  const own = body instanceof Uint8Array ? new Uint8Array(body) : (body ?? null);
  return new Response(own, { status, headers: headers ?? {} });
}

function use(fault: Fault): void {
  fault.left -= 1;
  fault.hits += 1;
}

function matches(match: FaultMatch, faulty: Faulty): boolean {
  return (
    (match.kind === undefined || match.kind === faulty.kind) &&
    (match.method === undefined || match.method === faulty.method) &&
    (match.path === undefined || faulty.path.search(match.path) >= 0) &&
    (match.host === undefined || match.host === faulty.host) &&
    (match.repository === undefined || match.repository === faulty.repository) &&
    (match.authorized === undefined || match.authorized === faulty.authorized)
  );
}
