/** What can be asked of an upstream. */
import type { Upstream } from "./registries.ts";

/**
 * As whom upstream is asked.
 * - `public`: as nobody, or as a login of the operator's where nobody would get the same.
 * - `owner`: as the operator, also for what only they may have.
 * - `caller`: as the user whose Authorization this is.
 */
export type Authority = { kind: "public" } | { kind: "owner" } | { kind: "caller"; authorization: string };

export const PUBLIC: Authority = { kind: "public" };

export interface Question {
  upstream: Upstream;
  repository: string;
  method: "GET" | "HEAD";
  /** Below the repository: `manifests/latest`, `blobs/sha256:…`. */
  path: string;
  search?: URLSearchParams;
  accept?: string;
  range?: string;
  /** Whether the body is wanted as it was sent: the runtime decodes what is labelled as encoded, and the label may be wrong. */
  isRaw?: boolean;
  /** The Via of the request that this is for; "" where it isn't given. */
  via?: string;
  /** `public` where it isn't given. */
  authority?: Authority;
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

/** Whether it doesn't matter who gives the answer: its digest proves it, and it is nobody's secret. */
export function isForAnyone(question: Question): boolean {
  return (question.authority ?? PUBLIC).kind === "public" && isByDigest(question);
}

/** Whether a manifest or a blob is asked for: only these tell who may pull. */
export function isContent({ path }: Pick<Question, "path">): boolean {
  return /^(manifests|blobs)\//.test(path);
}

/** Whether it is asked for by digest, under which nothing else can ever be had. */
export function isByDigest({ path }: Pick<Question, "path">): boolean {
  return /^(manifests|blobs)\/[a-z0-9]+:/.test(path);
}
