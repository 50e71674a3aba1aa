/** Bodies as upstream sends them: how long they are and how long they may take. */
import { MAXIMUM_PUT } from "../store/store.ts";
import type { UpstreamTiming } from "../upstream/client.ts";

/** The length that upstream declares for a body, if its bytes will be that many; null if that can't be known. */
export function declaredLength(response: Response): number | null {
  // The runtime decodes an encoded body, whose length is then another.
  return isEncoded(response) ? null : lengthSent(response);
}

/** Whether a body is labelled as encoded. No encoding was requested, so the label can be wrong as well as right. */
export function isEncoded({ headers }: Response): boolean {
  return (headers.get("Content-Encoding") ?? "identity") !== "identity";
}

/** The length that upstream declares for a body as it is sent, encoded or not. */
export function lengthSent({ headers }: Response): number | null {
  const length = headers.get("Content-Length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : null;
}

/** How long upstream may take to send a body. */
export interface BodyLimits {
  /** Milliseconds without a byte after which a body is taken to have stalled; twice as many at most. */
  stall: number;
  /** Milliseconds that any body may take as a whole, where no client sets its pace. */
  base: number;
  /** Bytes a second of the slowest bearable line, for what a body may take beyond that. */
  slowestLine: number;
  /** Milliseconds to wait before the next try for the rest, by how many in a row have brought too little; then it is over. */
  pauses: readonly number[];
}

/** Other times, and a rate, than the usual ones. */
export interface Timing {
  /** Milliseconds for which a request waits for another one's fill. */
  fillPatience?: number;
  bodyLimits?: BodyLimits;
  /** Milliseconds between two looks whether another request's fill has ended. */
  fillLook?: number;
  upstream?: Partial<UpstreamTiming>;
  /** Milliseconds for which requests are gathered before they are counted. */
  trafficGather?: number;
  /** Milliseconds for which a pull waits for the list of recalled digests. */
  recallPatience?: number;
  /** Requests a minute from one address, where the platform counts none. */
  addressRate?: number;
  /** Milliseconds for which hosted content stays that nothing references. */
  hostedGrace?: number;
}

export const BODY_LIMITS: BodyLimits = {
  stall: 7_500,
  base: 30_000,
  slowestLine: 32_000,
  pauses: [0, 500, 1_000, 2_000, 4_000],
};

/** Fires when a body of this length takes longer than it may. */
export function overdue(length: number, { base, slowestLine }: BodyLimits): AbortSignal {
  return AbortSignal.timeout(base + (length / slowestLine) * 1000);
}

/** Whether an object of this length fits into one put. */
export function isStorable(length: number): boolean {
  return length <= MAXIMUM_PUT;
}
