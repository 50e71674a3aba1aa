/** What the owner does by the page: the same as the routes behind ADMIN_KEY do. */
import type { Context } from "hono";
import { remove } from "../../ledger/holdings.ts";
import type { AdminServices } from "../../ledger/routes.ts";
import { warmImage } from "../../ledger/warm-request.ts";
import { parseDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { waitUntilOf } from "../../pull/wait-until.ts";
import { contentKey } from "../../store/store.ts";
import { bytesText } from "../format.ts";
import { extractImages } from "../references/extract.ts";
import { formatReference, type Reference } from "../references/reference.ts";
import type { Texts } from "../texts/en.ts";

/** What was done, in words; a key that was made is shown this once. */
export interface Done {
  text: string;
  key?: string;
}

type Act = (services: AdminServices, form: URLSearchParams, texts: Texts, c: Context) => Promise<Done>;

/** By the name that a form's button has. @throws RegistryError */
export const ACTIONS: Readonly<Record<string, Act>> = {
  async warm(services, form, { owner }, c) {
    const { registry, repository, suffix } = imageIn(form);
    const image = `${registry}/${repository}${suffix}`;
    const { bytes, isDone } = await warmImage(services, { image }, waitUntilOf(c.executionCtx));
    const [stored, total] = [bytesText(bytes.stored), bytesText(bytes.total)];
    return { text: isDone ? owner.warmed(image, total) : owner.warming(image, stored, total) };
  },

  async purge(services, form, { owner }) {
    const image = imageIn(form);
    await remove(services, removalOf(image));
    return { text: owner.purged(formatReference(image)) };
  },

  async recall(services, form, { owner }) {
    const digest = form.get("digest")?.trim() ?? "";
    await services.recalls.recall(services, { digest, reason: form.get("reason")?.trim() ?? "" });
    return { text: owner.recalled(digest) };
  },

  async undo(services, form, { owner }) {
    const digest = form.get("digest") ?? "";
    await services.recalls.undo(digest);
    return { text: owner.undone(digest) };
  },

  async key(services, form, { owner }) {
    const allow = (form.get("allow") ?? "").split(/[\s,]+/).filter(Boolean);
    const name = form.get("name")?.trim() ?? "";
    const { key } = await services.managedKeys.make({ name, allow });
    return { text: owner.keyMade(name), key };
  },

  async revoke(services, form, { owner }) {
    const name = form.get("name") ?? "";
    await services.managedKeys.revoke(name);
    return { text: owner.revoked(name) };
  },
};

function imageIn(form: URLSearchParams): Reference {
  const found = extractImages(form.get("image") ?? "").images[0];
  if (found) return found.reference;
  throw new RegistryError(400, "NAME_INVALID", "this is no image's name");
}

/** A tag's records, or what is stored by a digest; the rest of an image leaves by eviction, as others may need it. */
function removalOf({ registry, repository, suffix }: Reference) {
  const digest = parseDigest(/@(.+)$/.exec(suffix)?.[1] ?? "");
  const visibilities = ["public", "private"] as const;
  if (digest) {
    const kinds = ["manifests", "blobs"] as const;
    const objects = kinds.flatMap((kind) =>
      visibilities.map((visibility) => contentKey(kind, digest, visibility)),
    );
    return { tags: [], objects };
  }
  const tag = suffix.slice(1) || "latest";
  return {
    tags: visibilities.map((visibility) => ({ upstream: registry, repository, tag, visibility })),
    objects: [],
  };
}
