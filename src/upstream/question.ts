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
  /**
   * Answers that broke off, whose rest is asked for, the last one last. Who gave that is asked after the others; and who gave
   * any of them is told its ETag, so that it doesn't send a part of something else (RFC 9110 §13.1.5).
   */
  continues?: readonly Response[];
}

/** A question that is to be answered before the signal fires. */
export interface TimedQuestion extends Question {
  signal: AbortSignal;
  ifRange?: string;
}

/** Whether the answer is proved by a digest, so that it doesn't matter who gives it. */
export function isByDigest({ path }: Question): boolean {
  return /^(manifests|blobs)\/[a-z0-9]+:/.test(path);
}
