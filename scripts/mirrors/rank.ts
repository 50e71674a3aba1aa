/** Which of the mirrors that were measured to use, and in which order. */
import type { State } from "../verify/compare.ts";
import type { PublicMirror } from "./mirror-list.ts";

export interface Measured {
  mirror: PublicMirror;
  /** Why it can't be used at all: no way to it, a refusal. Null when it answers. */
  problem: string | null;
  /** Milliseconds from the request for a manifest to the first byte of its response; null where there was none. */
  firstByte: number | null;
  /** Bytes a second of the sample layer; null where it wasn't given. */
  speed: number | null;
  /** Whether what it gave has the digests that were requested. */
  isCorrect: boolean | null;
  /** How its tags compare with the publisher's; null where the publisher didn't respond. */
  freshness: State | null;
  /** Seconds by which the stalest image was made before the publisher's, where that is known. */
  behind: number | null;
  limits: string | null;
  /** What the images' tags lead to on the mirror. */
  tags: readonly TagFound[];
  /** Whether other mirrors confirm its tags; null where the publisher was consulted, or nothing is confirmed. */
  agrees: boolean | null;
}

export interface TagFound {
  /** The complete reference. */
  image: string;
  digest: string;
  /** When the image was made, in milliseconds since 1970; null where it isn't known, or the publisher was consulted. */
  made: number | null;
}

/** Best first: usable ones before others, then fresh ones, then by speed, then by how soon they respond. */
export function rank(measured: readonly Measured[]): Measured[] {
  return measured.toSorted(
    (one, other) =>
      Number(isUsable(other)) - Number(isUsable(one)) ||
      Number(isFresh(other)) - Number(isFresh(one)) ||
      (other.speed ?? 0) - (one.speed ?? 0) ||
      (one.firstByte ?? Number.POSITIVE_INFINITY) - (other.firstByte ?? Number.POSITIVE_INFINITY),
  );
}

/** Whether it serves content by digest: then it may be a fallback, however old its tags are. */
export function isUsable({ problem, isCorrect, freshness, speed }: Measured): boolean {
  return problem === null && isCorrect === true && freshness !== "different" && speed !== null;
}

/** Whether its tags may be relied on too: a client that is given the mirror asks it for tags. */
export function isFresh({ freshness, agrees }: Measured): boolean {
  return freshness === "same" || agrees === true;
}
