/** One request of a client that checks what it gets, can leave at any byte, and never waits for ever. */
import { createHash } from "node:crypto";

/**
 * How an answer ended: as its headers had said, with the connection, by the client's own will, not at all in time, or
 * before it began.
 */
export type Ending = "whole" | "broken" | "left" | "late" | "unreachable";

export interface Got {
  /** 0 where there was no answer. */
  status: number;
  headers: Headers;
  /** Bytes of the body. */
  received: number;
  /** Of what was received, as digests are written. */
  digest: string;
  /** The body, where it was to be kept. */
  bytes: Buffer;
  ending: Ending;
}

export interface Request {
  method?: "GET" | "HEAD";
  headers?: Record<string, string>;
  /** Whether the body is to be kept; errors are in any case. */
  keep?: boolean;
  /** Bytes after which the client leaves. */
  leaveAfter?: number;
}

/** Milliseconds; more than the slowest upstream takes, with a second try. */
const DEADLINE = 40_000;

export async function request(url: string, options: Request = {}): Promise<Got> {
  const { method = "GET", headers = {}, keep = false, leaveAfter = Number.POSITIVE_INFINITY } = options;
  const hash = createHash("sha256");
  const leaving = new AbortController();
  const deadline = AbortSignal.timeout(DEADLINE);
  const signal = AbortSignal.any([leaving.signal, deadline]);
  const kept: Uint8Array[] = [];
  let received = 0;
  let response: Response | null = null;
  let ending: Ending = "whole";
  try {
    response = await fetch(url, { method, headers, signal, redirect: "manual" });
    for await (const chunk of response.body ?? []) {
      hash.update(chunk);
      received += chunk.byteLength;
      if (keep || response.status >= 400) kept.push(chunk);
      if (received >= leaveAfter) {
        ending = "left";
        break;
      }
    }
  } catch {
    if (deadline.aborted) ending = "late";
    else ending = response ? "broken" : "unreachable";
  } finally {
    if (ending === "left") leaving.abort();
  }
  return {
    status: response?.status ?? 0,
    headers: response?.headers ?? new Headers(),
    received,
    digest: `sha256:${hash.digest("hex")}`,
    bytes: Buffer.concat(kept),
    ending,
  };
}

/** Where the mirror says an answer came from. */
export function servedBy({ headers }: Got): string {
  return /detail=([a-z]+)/.exec(headers.get("cache-status") ?? "")?.[1] ?? "nowhere";
}

/** Whether an answer came from what the mirror holds. */
export function isHeld(got: Got): boolean {
  return ["store", "memory"].includes(servedBy(got));
}
