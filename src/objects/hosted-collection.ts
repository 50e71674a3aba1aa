/**
 * Garbage collection of hosted repositories: deletes records that have expired or lost what referred to them, and then content
 * that no record refers to. Records are changed synchronously, so that no request sees half of a change.
 */
import { matchesAny } from "../access/patterns.ts";
import type { Digest } from "../oci/digest.ts";
import type { Collected } from "../push/records.ts";
import { expiredTags, retentionFor, subjectOf, type TagTime } from "../push/retention.ts";
import type { Retention } from "../retention-settings.ts";
import type { Services } from "../services.ts";
import { type ContentKind, hostedKey, UPLOADS, uploadOf } from "../store/store.ts";
import type { Content, HostedTables } from "./hosted-tables.ts";
import type { UploadTables } from "./upload-tables.ts";

interface CollectionOptions {
  storage: DurableObjectStorage;
  tables: HostedTables;
  uploads: UploadTables;
  services: Pick<Services, "config" | "hostedGrace" | "store">;
}

export class HostedCollection {
  readonly #storage: DurableObjectStorage;
  readonly #tables: HostedTables;
  readonly #uploads: UploadTables;
  readonly #services: CollectionOptions["services"];
  /** Deletions from the store that are under way, by kind and digest. */
  readonly #deletions = new Map<string, Promise<void>>();

  constructor({ storage, tables, uploads, services }: CollectionOptions) {
    this.#storage = storage;
    this.#tables = tables;
    this.#uploads = uploads;
    this.#services = services;
  }

  /** Changes all records that a collection changes before content is deleted. @param limit rows at most. */
  unlink(now: number, limit: number): { collected: Collected; orphans: Content[]; uploads: string[] } {
    const settled = now - this.#services.hostedGrace;
    const tags = this.#expireTags(now);
    this.#forgetUnheld(settled, now);
    const unneeded = this.#tables.unneeded(settled, limit);
    for (const { repository, digest } of unneeded) this.#tables.unlink(repository, digest);
    const uploads = this.#uploads.before(settled);
    const orphans = this.#tables.orphans(now, limit);
    const freed = orphans.reduce((sum, { size }) => sum + size, 0);
    const waiting = this.unneededBytes(now) - freed;
    const hasMore = unneeded.length === limit || orphans.length === limit;
    const counts = { unlinked: unneeded.length, deleted: orphans.length, uploads: uploads.length };
    return { collected: { tags, ...counts, freed, waiting, hasMore }, orphans, uploads };
  }

  /** Bytes that no tag, manifest or push needs any more. */
  unneededBytes(now: number): number {
    return this.preview(() => {
      this.#forgetUnheld(Number.MAX_SAFE_INTEGER, now);
      return this.#tables.unreferenced();
    });
  }

  /** Deletes the tags that HOSTED_RETENTION doesn't keep. @returns their number. */
  #expireTags(now: number): number {
    const { hosted } = this.#services.config;
    if (hosted.retention.length === 0) return 0;
    let count = 0;
    for (const repository of this.#tables.taggedRepositories()) {
      const rule = retentionFor(hosted, repository);
      if (!rule) continue;
      const tags = this.#tables.tagTimes(repository);
      for (const { tag, digest } of [
        ...expiredTags(tags, rule, now),
        ...tags.filter((each) => this.#isAbandoned(repository, each, rule, now)),
      ]) {
        this.#tables.deleteTag(repository, tag);
        this.#tables.release(repository, digest, now);
        count++;
      }
    }
    return count;
  }

  /** Whether the manifest that a tag says it belongs to is gone. It may come later than its signature, but not by a day. */
  #isAbandoned(repository: string, { tag, updated }: TagTime, { tags }: Retention, now: number): boolean {
    const digest = subjectOf(tag);
    if (digest === null || now - updated < this.#services.hostedGrace || matchesAny(tags, tag)) return false;
    return this.#tables.manifest(repository, { digest }) === null;
  }

  /** Deletes manifests that have lost their last tag, and then those that only they had. */
  #forgetUnheld(before: number, now: number): void {
    const { path, immutable } = this.#services.config.hosted;
    for (;;) {
      const unheld = this.#tables
        .unheld(before)
        .filter(({ repository }) => !matchesAny(immutable, `${path}/${repository}`));
      if (unheld.length === 0) return;
      for (const { repository, digest } of unheld) this.forgetManifest(repository, digest, now);
    }
  }

  forgetManifest(repository: string, digest: Digest, now: number): boolean {
    const isDeleted = this.#tables.deleteManifest(repository, digest, now);
    if (isDeleted) this.#tables.reserve("manifests", digest, now + this.#services.hostedGrace);
    return isDeleted;
  }

  /** Finds out what a change would lead to, and undoes it. */
  preview<Result>(change: () => Result): Result {
    let found: { result: Result } | null = null;
    try {
      this.#storage.transactionSync(() => {
        found = { result: change() };
        throw new Error("undo");
      });
    } catch (error) {
      if (found === null) throw error;
    }
    return (found as unknown as { result: Result }).result;
  }

  /** Deletes content from the store; a push that reserves it meanwhile waits, and stores it again. */
  async delete(contents: readonly Content[]): Promise<void> {
    const deletion = this.#services.store
      .delete(contents.map(({ kind, digest }) => hostedKey(kind, digest)))
      .then(() => {
        for (const content of contents) this.#tables.forgetContent(content);
      })
      .finally(() => {
        for (const { kind, digest } of contents) this.#deletions.delete(`${kind} ${digest}`);
      });
    for (const { kind, digest } of contents) this.#deletions.set(`${kind} ${digest}`, deletion);
    await deletion;
  }

  /** Waits for the deletion of an object, if one is under way. */
  async deletionOf(kind: ContentKind, digest: Digest): Promise<void> {
    await this.#deletions.get(`${kind} ${digest}`);
  }

  /** Deletes parts in the store of uploads that have ended, and parts that never got a record. */
  async deleteStrayParts(): Promise<void> {
    const { store } = this.#services;
    let next: string | undefined;
    do {
      const { entries, cursor } = await store.list(UPLOADS, next);
      const stray = entries.filter(({ key }) => this.#uploads.find(uploadOf(key) ?? "") === null);
      if (stray.length > 0) await store.delete(stray.map(({ key }) => key));
      next = cursor ?? undefined;
    } while (next !== undefined);
  }
}
