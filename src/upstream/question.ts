/** What can be asked of an upstream. */
import type { Upstream } from "./registries.ts";

export interface Question {
  upstream: Upstream;
  repository: string;
  method: "GET" | "HEAD";
  /** Below the repository: `manifests/latest`, `blobs/sha256:…`. */
  path: string;
  search?: URLSearchParams;
  accept?: string;
  range?: string;
}

/** A question that is to be answered before the signal fires. */
export interface TimedQuestion extends Question {
  signal: AbortSignal;
}

/** Whether the answer is proved by a digest, so that it doesn't matter who gives it. */
export function isByDigest({ path }: Question): boolean {
  return /^(manifests|blobs)\/[a-z0-9]+:/.test(path);
}
