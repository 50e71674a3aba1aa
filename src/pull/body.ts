/** Bodies as upstream sends them: how long they are and how long they may take. */
import { MAXIMUM_PUT } from "../cache/store.ts";

/** The length that upstream declares for a body, if its bytes will be that many; null if that can't be known. */
export function declaredLength(response: Response): number | null {
  // The runtime decodes an encoded body, whose length is then another.
  return isEncoded(response) ? null : lengthSent(response);
}

/** Whether a body is labelled as encoded. Nobody was asked to encode it: the label can be wrong as well as right. */
export function isEncoded({ headers }: Response): boolean {
  return (headers.get("Content-Encoding") ?? "identity") !== "identity";
}

/** The length that upstream declares for a body as it is sent, encoded or not. */
export function lengthSent({ headers }: Response): number | null {
  const length = headers.get("Content-Length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : null;
}

/**
 * Fires when a body of this length takes longer than it may. Nothing native tells a stalled stream from a slow one, so
 * what is bounded is the whole: half a minute, and what the slowest bearable line needs.
 */
export function patience(length: number): AbortSignal {
  return AbortSignal.timeout(30_000 + (length / SLOWEST_LINE) * 1000);
}

/** Bytes a second. */
const SLOWEST_LINE = 32_000;

/** Whether an object of this length fits into one put. */
export function isStorable(length: number): boolean {
  return length <= MAXIMUM_PUT;
}
