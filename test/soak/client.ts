/** One request of a client that checks what it gets, can disconnect at any byte, and always has a deadline. */
import { createHash } from "node:crypto";

/**
 * How a response ended: complete, by a lost connection, by the client leaving, by the deadline, or before it began.
 */
export type Ending = "whole" | "broken" | "left" | "late" | "unreachable";

export interface Got {
  /** 0 if there was no response. */
  status: number;
  headers: Headers;
  /** Bytes of the body. */
  received: number;
  /** Digest of the bytes received. */
  digest: string;
  /** The body, if `keep` was set. */
  bytes: Buffer;
  ending: Ending;
}

export interface Request {
  method?: "GET" | "HEAD";
  headers?: Record<string, string>;
  /** Whether to keep the body; error bodies are always kept. */
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

/** The source that the mirror names in Cache-Status. */
export function servedBy({ headers }: Got): string {
  return /detail=([a-z]+)/.exec(headers.get("cache-status") ?? "")?.[1] ?? "nowhere";
}

/** Whether a response came from the mirror's store or memory. */
export function isCached(got: Got): boolean {
  return ["store", "memory"].includes(servedBy(got));
}
