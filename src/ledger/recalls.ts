/** Recalled digests: what the operator denies to every client, wherever it would come from. The ledger's object keeps them. */
import { type Digest, parseDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { within } from "../registry/within.ts";
import { contentKey, type Store } from "../store/store.ts";
import { parsed, RecallRequest } from "./requests.ts";

export interface Recalled {
  digest: Digest;
  /** For clients to read; "" where none was given. */
  reason: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** The ledger's object, which returns the whole list after every change. */
export interface RecallLedger {
  recalled(): Promise<Recalled[]>;
  /** A digest that is recalled already gets the new reason. @returns null if `most` are recalled already. */
  recall(recalled: Recalled, most: number): Promise<Recalled[] | null>;
  undoRecall(digest: Digest): Promise<Recalled[]>;
}

/** Every isolate has the whole list in memory. */
const MOST = 1_000;
/** Milliseconds for which an isolate relies on the list that it has read. */
const RECALLS_KNOWN = 60_000;
/** Milliseconds after which it reads again if reading failed. */
const RETRY = 10_000;
/** Milliseconds that a pull waits for the list. */
const PATIENCE = 2_000;

export interface RecallServices {
  store: Pick<Store, "delete">;
  /** What this isolate has in memory. */
  manifests: { delete(digest: Digest): unknown };
}

/** One isolate's list. What is changed through this isolate counts at once, what is changed through others within a minute. */
export class Recalls {
  readonly #ledger: () => RecallLedger;
  readonly #now: () => number;
  readonly #patience: number;
  #known: ReadonlyMap<Digest, Recalled> | null = null;
  #nextRead = 0;
  /** Whether the list couldn't be read when that was last tried. */
  #hasFailed = false;
  /** How often the list was changed through this isolate. */
  #changes = 0;

  /** @param patience milliseconds that a pull waits for the list. */
  constructor(ledger: () => RecallLedger, now: () => number, patience = PATIENCE) {
    this.#ledger = ledger;
    this.#now = now;
    this.#patience = patience;
  }

  /**
   * The one check that all content passes, twice: by the digests that a request names, before anything is looked up; and by the
   * digest of the response, since a tag is resolved by then, and since a digest may have been recalled meanwhile.
   * @param named the digests in the request's path and query.
   * @throws RegistryError 403
   */
  async guard(named: readonly Digest[], serve: () => Promise<Response>): Promise<Response> {
    await this.refresh();
    for (const digest of named) this.refuse(digest);
    const response = await serve();
    const served = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
    try {
      if (served) this.refuse(served);
    } catch (error) {
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    return response;
  }

  /** Whether this isolate knows a digest to be recalled. */
  isRecalled(digest: Digest): boolean {
    return this.#known?.has(digest) === true;
  }

  /** @throws RegistryError 403 for a digest that this isolate knows to be recalled. */
  refuse(digest: Digest): void {
    const recalled = this.#known?.get(digest);
    if (!recalled) return;
    const reason = recalled.reason === "" ? "" : `: ${recalled.reason}`;
    throw new RegistryError(403, "DENIED", `${digest} was recalled by the operator of this mirror${reason}`);
  }

  /** All that are recalled, the latest first. */
  async list(): Promise<Recalled[]> {
    return (await this.#ledger().recalled()).sort((a, b) => b.at - a.at);
  }

  /**
   * Denies a digest, and deletes what is cached of it.
   * @param request as parsed from JSON.
   * @throws RegistryError 400, or 409 if too many are recalled.
   */
  async recall(services: RecallServices, request: unknown): Promise<void> {
    const message = "the body has a digest, and a reason of one line and 200 characters at most";
    const { digest, reason } = parsed(RecallRequest, request, message);
    const list = await this.#ledger().recall({ digest, reason, at: this.#now() }, MOST);
    if (!list) throw new RegistryError(409, "DENIED", `${MOST} digests are recalled, which is the most`);
    this.#change(list);
    // It is denied already; what couldn't be deleted is deleted by the next sweep.
    await deleteCached(services, [digest]).catch((error) =>
      console.warn(`what is stored of ${digest} can't be deleted: ${error}`),
    );
  }

  /** Ends a recall. @throws RegistryError 400 for what is no digest, 404 for one that isn't recalled. */
  async undo(text: string): Promise<void> {
    const digest = parseDigest(text);
    if (!digest) throw new RegistryError(400, "DIGEST_INVALID", "the path ends with a digest");
    const ledger = this.#ledger();
    const isRecalled = (await ledger.recalled()).some((each) => each.digest === digest);
    if (!isRecalled) throw new RegistryError(404, "MANIFEST_UNKNOWN", `${digest} isn't recalled`);
    this.#change(await ledger.undoRecall(digest));
  }

  /** Deletes what was cached of recalled digests after they were: by fills that were running, or for a tag that names one. */
  async sweep(services: RecallServices): Promise<void> {
    const digests = (await this.#ledger().recalled()).map(({ digest }) => digest);
    const batch = Math.floor(1_000 / PLACES.length);
    for (let at = 0; at < digests.length; at += batch) {
      await deleteCached(services, digests.slice(at, at + batch));
    }
  }

  /**
   * Reads the list if it is older than a minute. A ledger that can't be reached leaves what is known. No request waits for
   * another one's reading, which ends with its client: beside it they go by the list that there is.
   */
  async refresh(): Promise<void> {
    const now = this.#now();
    // Without any list, further requests wait for it too.
    if (now < this.#nextRead && (this.#known || this.#hasFailed)) return;
    this.#nextRead = now + RETRY;
    const changes = this.#changes;
    try {
      const list = await within(this.#patience, this.#ledger().recalled());
      // A list that was read before a change and arrives after it is out of date.
      if (changes === this.#changes) this.#set(list);
    } catch (error) {
      this.#hasFailed = true;
      console.warn(`recalled digests can't be read: ${error}`);
    }
  }

  #change(list: Recalled[]): void {
    this.#changes++;
    this.#set(list);
  }

  #set(list: Recalled[]): void {
    this.#known = new Map(list.map((recalled) => [recalled.digest, recalled]));
    this.#hasFailed = false;
    this.#nextRead = this.#now() + RECALLS_KNOWN;
  }
}

const PLACES = (["blobs", "manifests"] as const).flatMap((kind) =>
  (["public", "private"] as const).map((visibility) => ({ kind, visibility })),
);

/** Hosted content stays: it can't be fetched again if the recall is undone. */
async function deleteCached({ store, manifests }: RecallServices, digests: readonly Digest[]): Promise<void> {
  for (const digest of digests) manifests.delete(digest);
  await store.delete(
    digests.flatMap((digest) => PLACES.map(({ kind, visibility }) => contentKey(kind, digest, visibility))),
  );
}
