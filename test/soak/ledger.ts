/** What has been seen in a soak: pulls and errors as figures, and everything that must not be as findings. */
import type { Tag } from "./catalogue.ts";
import { type Got, servedBy } from "./client.ts";
import type { Faults } from "./faults.ts";

export type PullEnd = "whole" | "failed" | "interrupted" | "left";

/** Answers that a client may get while upstreams fail; any other one says something untrue. */
const EXPLAINED = [0, 200, 206, 304, 403, 429, 503];

export class Ledger {
  readonly pulls: Record<PullEnd, number> = { whole: 0, failed: 0, interrupted: 0, left: 0 };
  /** Errors as clients see them: by status, or by how the connection ended. */
  readonly errors: Record<string, number> = {};
  /** Answers by where they came from. */
  readonly served: Record<string, number> = {};
  /** Bodies that came whole and were not what their digest says, and that the mirror is to blame for. */
  readonly wrong: string[] = [];
  /** Answers that no fault explains, and clients left hanging. */
  readonly unexplained: string[] = [];
  /** Tags that were answered with an older meaning than before. */
  readonly backwards: string[] = [];
  /** Blobs that were once served from the store: they must be there in the end. */
  readonly held = new Set<string>();
  /** Of every tag, the newest meaning that a client has been told, by its place in the tag's history. */
  readonly newest = new Map<Tag, number>();
  /** Wrong bytes of a failing upstream that were passed on, for the client to refuse: they aren't known before their end. */
  passedOn = 0;
  bytes = 0;
  requests = 0;
  readonly #faults: Faults;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** @param what is asked for, in words for a finding. */
  note(got: Got, what: string): void {
    const { status, ending } = got;
    this.requests++;
    this.bytes += got.received;
    if (ending !== "unreachable") add(this.served, servedBy(got));
    if (ending === "broken" || ending === "late" || ending === "unreachable") add(this.errors, ending);
    else if (status >= 400) add(this.errors, String(status));
    if (ending === "late") this.unexplained.push(`${what}: no end in sight after ${got.received} bytes`);
    if (!EXPLAINED.includes(status)) this.unexplained.push(`${what}: ${status} ${got.bytes.toString()}`);
    if (status >= 400 && ending === "whole" && what.startsWith("GET") && !isOciError(got)) {
      this.unexplained.push(`${what}: ${status} with ${got.bytes.toString() || "no body"}`);
    }
  }

  noteHeld(digest: string): void {
    this.held.add(digest);
  }

  /** A body that came whole isn't what it should be. */
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
