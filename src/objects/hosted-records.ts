/**
 * The Durable Object of all hosted repositories' records. There is one of it, so that a change is seen by every request at once,
 * and so that what garbage collection deletes can't be linked at the same moment. No content passes through it.
 */

import { DurableObject } from "cloudflare:workers";
import type {
  HostedCount,
  HostedImage,
  HostedLedger,
  HostedPart,
  HostedRemoval,
  HostedRepository,
} from "../ledger/hosted.ts";
import type { Digest } from "../oci/digest.ts";
import { policyFor } from "../push/policy.ts";
import type {
  AddedPart,
  Collected,
  DeleteResult,
  ManifestRecord,
  NewManifest,
  Page,
  Part,
  PartClaim,
  Policy,
  PutManifestResult,
  HostedRecords as Records,
  Referrer,
  ReferrerPlace,
  ReferrersPage,
  StartedUpload,
} from "../push/records.ts";
import type { Reference } from "../push/target.ts";
import { type Env, servicesOf } from "../services.ts";
import { deleteAll } from "../store/content.ts";
import { type ContentKind, uploadPrefix } from "../store/store.ts";
import { countHosted, hostedImages, hostedRepositories } from "./hosted-account.ts";
import { HostedCollection } from "./hosted-collection.ts";
import { removePart } from "./hosted-removal.ts";
import { byteLength, HostedTables } from "./hosted-tables.ts";
import { UploadTables } from "./upload-tables.ts";

/** Missing references of a manifest that are looked for, and named: a manifest may have tens of thousands. */
const MOST_MISSING = 5;
/** Milliseconds between two collections. */
const COLLECT_EVERY = 3600 * 1000;
/** Share of the grace that passes before it is recorded again that a blob was looked for. */
const TOUCH_EVERY = 1 / 24;
/** Repositories among which the source of a mount is looked for. */
const MOST_SOURCES = 100;
/** Uploads that one repository may have at a time: an image has some tens of layers. */
const MOST_UPLOADS = 1000;
/** Referrers on a page, and their bytes: each has the annotations of a whole manifest, and all repositories share this object's memory. */
const REFERRERS = 1000;
const REFERRERS_SIZE = 2 * 1024 * 1024;
/** Objects that are collected at a time. */
const BATCH = 500;

export class HostedRecords extends DurableObject<Env> implements Records, HostedLedger {
  readonly #services = servicesOf(this.env);
  readonly #tables = new HostedTables(this.ctx.storage.sql);
  readonly #uploads = new UploadTables(this.ctx.storage.sql);
  readonly #collection = new HostedCollection({
    storage: this.ctx.storage,
    tables: this.#tables,
    uploads: this.#uploads,
    services: this.#services,
  });

  async findBlob(repository: string, digest: Digest): Promise<number | null> {
    this.#tables.touch(repository, digest, this.#now(), this.#grace * TOUCH_EVERY);
    return this.#tables.blobSize(repository, digest);
  }

  async repositoriesWith(digest: Digest): Promise<string[]> {
    return this.#tables.repositoriesWith(digest, MOST_SOURCES);
  }

  async findManifest(repository: string, reference: Reference): Promise<ManifestRecord | null> {
    const found = this.#tables.manifest(repository, reference);
    if (found) this.#tables.touchReleased(repository, found.digest, this.#now(), this.#grace * TOUCH_EVERY);
    return found;
  }

  async listTags(repository: string, page: Page) {
    if (!this.#tables.hasRepository(repository)) return null;
    return pageOf(page, (larger) => this.#tables.tags(repository, larger));
  }

  async listRepositories(page: Page) {
    return pageOf(page, (larger) => this.#tables.repositories(larger));
  }

  async count(): Promise<HostedCount> {
    return countHosted(this.ctx.storage.sql);
  }

  async account(last: string | null, limit: number): Promise<HostedRepository[]> {
    return hostedRepositories(this.ctx.storage.sql, last, limit);
  }

  async images(repository: string, last: string | null, limit: number): Promise<HostedImage[]> {
    return hostedImages(this.ctx.storage.sql, repository, last, limit);
  }

  async remove(
    repository: string,
    part: HostedPart,
    isDryRun: boolean,
  ): Promise<HostedRemoval | "unknown" | "immutable"> {
    if (policyFor(this.#services.config.hosted, repository).isImmutable) return "immutable";
    const now = this.#now();
    const change = () => {
      const before = this.#collection.unneededBytes(now);
      const removed = removePart(this.ctx.storage.sql, this.#tables, {
        repository,
        part,
        now,
        until: now + this.#grace,
      });
      return removed && { ...removed, freed: this.#collection.unneededBytes(now) - before };
    };
    if (isDryRun) return this.#collection.preview(change) ?? "unknown";
    const removed = this.ctx.storage.transactionSync(change);
    await this.#planCollection();
    return removed ?? "unknown";
  }

  async listReferrers(repository: string, subject: Digest, page: ReferrersPage) {
    const referrers: Referrer[] = [];
    let last: ReferrerPlace | null = null;
    let size = 0;
    for (const place of this.#tables.referrers(repository, subject, page, REFERRERS + 1)) {
      const referrer = this.#tables.referrer(repository, place.digest);
      size += byteLength(JSON.stringify(referrer));
      if (last !== null && (size > REFERRERS_SIZE || referrers.length === REFERRERS))
        return { referrers, last };
      referrers.push(referrer);
      last = place;
    }
    return { referrers, last: null };
  }

  async putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    policy: Policy,
  ): Promise<PutManifestResult> {
    const result = this.#checkManifest(repository, manifest, tags, policy);
    const content = { kind: "manifests", ...manifest } as const;
    if (result.kind === "stored") {
      this.#tables.setSize(content);
      this.#tables.putManifest(repository, manifest, tags, this.#now());
    } else this.#tables.refuse(repository, content);
    await this.#planCollection();
    return result;
  }

  /** What becomes of a manifest that is pushed. */
  #checkManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    policy: Policy,
  ): PutManifestResult {
    const missing: NewManifest["references"][number][] = [];
    for (const each of manifest.references) {
      if (!this.#isThere(repository, each, policy)) missing.push(each);
      if (missing.length === MOST_MISSING) break;
    }
    if (missing.length > 0) return { kind: "missing", references: missing };
    const frozen = policy.isImmutable
      ? tags.find((tag) => ![null, manifest.digest].includes(this.#tables.tagged(repository, tag)))
      : undefined;
    if (frozen !== undefined) return { kind: "immutable", tag: frozen };
    return this.#exceedsAsNew(repository, manifest, policy) ? { kind: "over-quota" } : { kind: "stored" };
  }

  async deleteTag(repository: string, tag: string, policy: Policy): Promise<DeleteResult> {
    if (policy.isImmutable) return "immutable";
    return this.#tables.deleteTag(repository, tag) ? "deleted" : "unknown";
  }

  async deleteManifest(repository: string, digest: Digest, policy: Policy): Promise<DeleteResult> {
    if (policy.isImmutable) return "immutable";
    return this.#collection.forgetManifest(repository, digest, this.#now()) ? "deleted" : "unknown";
  }

  async deleteBlob(repository: string, digest: Digest, policy: Policy): Promise<DeleteResult> {
    if (policy.isImmutable) return "immutable";
    const isDeleted = this.#tables.unlink(repository, digest);
    if (isDeleted) this.#tables.reserve("blobs", digest, this.#now() + this.#grace);
    return isDeleted ? "deleted" : "unknown";
  }

  async startUpload(repository: string, policy: Policy): Promise<StartedUpload> {
    if (!this.#hasRoom({ digest: null, size: 1 }, policy)) return { kind: "over-quota" };
    if (this.#uploads.count(repository) >= MOST_UPLOADS) return { kind: "too-many" };
    const id = crypto.randomUUID();
    this.#uploads.start(id, repository, this.#now());
    await this.#planCollection();
    return { kind: "started", id };
  }

  async findUpload(repository: string, id: string): Promise<number | null> {
    return this.#uploadOf(repository, id)?.offset ?? null;
  }

  async cancelUpload(repository: string, id: string): Promise<boolean> {
    if (!this.#uploadOf(repository, id)) return false;
    await this.#endUpload(id);
    return true;
  }

  async claimUpload(
    repository: string,
    id: string,
    { start, length, digest }: { start: number | null; length: number | null; digest: Digest | null },
    policy: Policy,
  ): Promise<PartClaim> {
    const upload = this.#uploadOf(repository, id);
    if (!upload) return { kind: "unknown" };
    const { offset } = upload;
    if (start !== null && start !== offset) return { kind: "out-of-order", offset };
    // A request without content only finishes the upload.
    if (length !== 0 && !this.#hasRoom({ digest, size: length ?? 1 }, policy)) return { kind: "over-quota" };
    const holder = crypto.randomUUID();
    this.#uploads.claim(id, holder, this.#now());
    const { quota } = policy;
    const bound = quota && { group: quota.pattern, bytes: quota.bytes - this.#used(quota.pattern, digest) };
    return { kind: "claimed", holder, offset, bound };
  }

  async addPart(id: string, holder: string, part: Part, policy: Policy): Promise<AddedPart> {
    const upload = this.#uploads.find(id);
    if (upload?.holder !== holder) return { kind: "taken" };
    this.#uploads.addPart(id, part, this.#now());
    if (this.#hasRoom({ digest: null, size: 0 }, policy))
      return { kind: "added", offset: upload.offset + part.size };
    await this.#endUpload(id);
    return { kind: "over-quota" };
  }

  async hasRoom(blob: { digest: Digest; size: number }, policy: Policy): Promise<boolean> {
    return this.#hasRoom(blob, policy);
  }

  async partsOf(id: string, holder: string): Promise<readonly Part[] | null> {
    return this.#uploads.find(id)?.holder === holder ? this.#uploads.parts(id) : null;
  }

  async reserve(kind: ContentKind, digest: Digest): Promise<void> {
    this.#tables.reserve(kind, digest, this.#now() + this.#grace);
    await this.#collection.deletionOf(kind, digest);
    // The deletion, if there was one, has removed the first reservation.
    this.#tables.reserve(kind, digest, this.#now() + this.#grace);
    await this.#planCollection();
  }

  async reserveManifest(
    repository: string,
    manifest: { digest: Digest; size: number },
    policy: Policy,
  ): Promise<boolean> {
    if (this.#exceedsAsNew(repository, manifest, policy)) return false;
    await this.reserve("manifests", manifest.digest);
    return true;
  }

  async linkBlob(
    repository: string,
    { digest, size }: { digest: Digest; size: number },
    upload: string | null,
    policy: Policy,
  ): Promise<boolean> {
    const isNew = this.#tables.blobSize(repository, digest) === null;
    const isRefused = isNew && this.#exceeds(policy, { digest, size });
    const content = { kind: "blobs", digest, size } as const;
    if (isRefused) this.#tables.refuse(repository, content);
    else {
      this.#tables.setSize(content);
      this.#tables.link(repository, digest, this.#now());
    }
    if (upload !== null) await this.#endUpload(upload);
    return !isRefused;
  }

  async collect(isDryRun: boolean): Promise<Collected> {
    const now = this.#now();
    if (isDryRun)
      return this.#collection.preview(() => this.#collection.unlink(now, Number.MAX_SAFE_INTEGER).collected);
    const { collected, orphans, uploads } = this.#collection.unlink(now, BATCH);
    for (const id of uploads) await this.#endUpload(id);
    if (orphans.length > 0) await this.#collection.delete(orphans);
    if (!collected.hasMore) await this.#collection.deleteStrayParts();
    return collected;
  }

  override async alarm(): Promise<void> {
    while ((await this.collect(false)).hasMore);
    await this.#planCollection();
  }

  async #endUpload(id: string): Promise<void> {
    const hasParts = this.#uploads.parts(id).length > 0;
    this.#uploads.forget(id);
    if (hasParts) this.ctx.waitUntil(deleteAll(this.#services.store, uploadPrefix(id)));
  }

  #isThere(
    repository: string,
    { kind, digest }: { kind: ContentKind; digest: Digest },
    { allowsSparse }: Policy,
  ): boolean {
    if (allowsSparse) return true;
    if (kind === "blobs") return this.#tables.blobSize(repository, digest) !== null;
    return this.#tables.manifest(repository, { digest }) !== null;
  }

  /** Whether a manifest would exceed the quota. One that the repository has can get further tags in any case. */
  #exceedsAsNew(repository: string, manifest: { digest: Digest; size: number }, policy: Policy): boolean {
    return this.#tables.manifest(repository, manifest) === null && this.#exceeds(policy, manifest);
  }

  #exceeds({ quota }: Policy, { digest, size }: { digest: Digest; size: number }): boolean {
    return quota !== null && this.#tables.bytesOf(quota.pattern, digest) + size > quota.bytes;
  }

  /** @param content its digest is null where it isn't known yet: then it counts even if another repository has it. */
  #hasRoom({ digest, size }: { digest: Digest | null; size: number }, { quota }: Policy): boolean {
    if (quota === null) return true;
    return this.#used(quota.pattern, digest) + size <= quota.bytes;
  }

  /** Bytes that count for a quota, those of running uploads too. @param besides content that isn't counted. */
  #used(pattern: string, besides: Digest | null): number {
    return this.#tables.bytesOf(pattern, besides) + this.#uploads.bytes(pattern);
  }

  #uploadOf(repository: string, id: string) {
    const upload = this.#uploads.find(id);
    return upload?.repository === repository ? upload : null;
  }

  async #planCollection(): Promise<void> {
    if ((this.#tables.isEmpty() && this.#uploads.isEmpty()) || (await this.ctx.storage.getAlarm()) !== null)
      return;
    await this.ctx.storage.setAlarm(this.#now() + COLLECT_EVERY);
  }

  /** Milliseconds for which unreferenced content is kept, and an upload that no request continues. */
  get #grace(): number {
    return this.#services.hostedGrace;
  }

  #now(): number {
    return this.#services.now();
  }
}

/** Reads one name more than the page has, which tells whether there is a next page. */
function pageOf(page: Page, read: (larger: Page) => string[]): { names: string[]; hasMore: boolean } {
  if (page.limit === 0) return { names: [], hasMore: false };
  const names = read({ ...page, limit: page.limit + 1 });
  return { names: names.slice(0, page.limit), hasMore: names.length > page.limit };
}
