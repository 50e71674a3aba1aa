/** What came of reading an object: a manifest or a blob, from its registry or a mirror. */
import { RegistryFailure } from "../registry/failure.ts";

export type ReadOutcome =
  | { kind: "given" }
  | { kind: "missing" }
  /** Something else came than what was requested; `reason` says what. */
  | { kind: "wrong"; reason: string }
  /** A login is needed, or this one isn't allowed to read it. */
  | { kind: "refused"; reason: string }
  | { kind: "failed"; reason: string };

/** What the client says of content that came, and isn't what it should be. */
const WRONG = ["DIGEST_INVALID", "MANIFEST_INVALID"];

/** What a failure says of the object that was requested. */
export function outcomeOf(error: unknown): ReadOutcome {
  if (!(error instanceof RegistryFailure)) throw error;
  if (error.status === 404) return { kind: "missing" };
  if (error.status === 401 || error.status === 403) return { kind: "refused", reason: error.message };
  const isWrong = error.status === 0 && error.code !== null && WRONG.includes(error.code);
  return { kind: isWrong ? "wrong" : "failed", reason: error.message };
}
