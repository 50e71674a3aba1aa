/** What a soak has observed: counts of pulls and errors, and every violation as a finding. */
import type { Tag } from "./catalogue.ts";
import { type Got, servedBy } from "./client.ts";
import type { Faults } from "./faults.ts";

export type PullEnd = "whole" | "failed" | "interrupted" | "left";

/** Statuses that a client may get while upstreams fail; any other would be false. */
const EXPLAINED = [0, 200, 206, 304, 403, 429, 503];

export class Ledger {
  readonly pulls: Record<PullEnd, number> = { whole: 0, failed: 0, interrupted: 0, left: 0 };
  /** Errors as clients see them: by status, or by how the connection ended. */
  readonly errors: Record<string, number> = {};
  /** Answers by where they came from. */
  readonly served: Record<string, number> = {};
  /** Complete bodies that don't match their digest, where the mirror is at fault. */
  readonly wrong: string[] = [];
  /** Responses that no fault explains, and requests that never ended. */
  readonly unexplained: string[] = [];
  /** Tags that were resolved to an older image than before. */
  readonly backwards: string[] = [];
  /** Blobs that were once served from the store: they must still be stored in the end. */
  readonly stored = new Set<string>();
  /** For every tag, the newest image that a client has received, as an index into its history. */
  readonly newest = new Map<Tag, number>();
  /** Wrong content of a failing upstream that was passed on, because it can't be verified before its end; the client rejects it. */
  passedOn = 0;
  bytes = 0;
  requests = 0;
  readonly #faults: Faults;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** @param what the request, as findings name it. */
  note(got: Got, what: string): void {
    const { status, ending } = got;
    this.requests++;
    this.bytes += got.received;
    if (ending !== "unreachable") add(this.served, servedBy(got));
    if (ending === "broken" || ending === "late" || ending === "unreachable") add(this.errors, ending);
    else if (status >= 400) add(this.errors, String(status));
    if (ending === "late") this.unexplained.push(`${what}: not finished after ${got.received} bytes`);
    if (!EXPLAINED.includes(status)) this.unexplained.push(`${what}: ${status} ${got.bytes.toString()}`);
    if (status >= 400 && ending === "whole" && what.startsWith("GET") && !isOciError(got)) {
      this.unexplained.push(`${what}: ${status} with ${got.bytes.toString() || "no body"}`);
    }
  }

  noteStored(digest: string): void {
    this.stored.add(digest);
  }

  /** Records a complete body that isn't the expected one. */
  noteWrong(got: Got, digest: string, what: string, kind: "manifest" | "blob"): void {
    const sent = this.#faults.corrupted.get(digest) ?? 0;
    if (kind === "blob" && servedBy(got) === "upstream" && sent > 0) {
      this.#faults.corrupted.set(digest, sent - 1);
      this.passedOn++;
      return;
    }
    this.wrong.push(`${what}: ${got.received} bytes of ${got.digest}, served by ${servedBy(got)}`);
  }
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function isOciError({ bytes }: Got): boolean {
  try {
    const code: unknown = JSON.parse(bytes.toString()).errors[0].code;
    return typeof code === "string" && /^[A-Z_]+$/.test(code);
  } catch {
    return false;
  }
}
