/** What the owner does by the page: the same as the routes behind ADMIN_KEY do. */
import type { Context } from "hono";
import { requireOwnHosted } from "../../ledger/forwarded.ts";
import { remove } from "../../ledger/holdings.ts";
import type { HostedPart } from "../../ledger/hosted.ts";
import { findImage } from "../../ledger/image-request.ts";
import { release, undoRelease } from "../../ledger/releases.ts";
import { removeImages } from "../../ledger/removal.ts";
import { warmImage } from "../../ledger/warm-request.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { waitUntilOf } from "../../pull/wait-until.ts";
import { contentKey } from "../../store/store.ts";
import { bytesText, shortDigest } from "../format.ts";
import { extractImages } from "../references/extract.ts";
import { formatReference, type Reference } from "../references/reference.ts";
import type { Texts } from "../texts/en.ts";
import { type OwnerServices, pathOf } from "./section.ts";

/** What was done, in words; a key that was made is shown this once. */
export interface Done {
  text: string;
  key?: string;
}

/** A page that has what was wanted. */
export interface Elsewhere {
  path: string;
}

export interface ActionRequest {
  services: OwnerServices;
  form: URLSearchParams;
  texts: Texts;
  c: Context;
}

type Act = (request: ActionRequest) => Promise<Done | Elsewhere>;

/** By the name that a form's button has. @throws RegistryError */
export const ACTIONS: Readonly<Record<string, Act>> = {
  async warm({ services, form, texts: { owner }, c }) {
    const image = nameOf(imageIn(form));
    const { bytes, isDone } = await warmImage(services, { image }, waitUntilOf(c.executionCtx));
    const [stored, total] = [bytesText(bytes.stored), bytesText(bytes.total)];
    return { text: isDone ? owner.warmed(image, total) : owner.warming(image, stored, total) };
  },

  async purge({ services, form, texts: { owner } }) {
    const image = imageIn(form);
    const { tags, objects } = removalOf(image);
    const heads = await Promise.all(objects.map((key) => services.store.head(key)));
    const bytes = heads.reduce((sum, head) => sum + (head?.size ?? 0), 0);
    await remove(services, { tags, objects });
    return { text: owner.purged(formatReference(image), tags.length > 0 ? null : bytesText(bytes)) };
  },

  async remove({ services, form, texts: { owner } }) {
    const name = form.get("image") ?? "";
    const { bytes, objects } = await removeImages(services, { images: [name] });
    return { text: owner.removed(name, objects, bytesText(bytes)) };
  },

  async pin({ services, form, texts: { owner } }) {
    const written = form.get("image")?.trim() ?? "";
    const pattern = written.includes("*") ? written : nameOf(imageIn(form));
    await services.pins.pin({ pattern });
    return { text: owner.pinnedNow(pattern) };
  },

  async unpin({ services, form, texts: { owner } }) {
    const pattern = form.get("pattern") ?? "";
    await services.pins.unpin(pattern);
    return { text: owner.unpinned(pattern) };
  },

  async release({ services, form, texts: { owner } }) {
    const image = nameOf(imageIn(form));
    const [released] = await release(services, { image });
    return { text: owner.released(image, released?.digest ?? "") };
  },

  async unrelease({ services, form, texts: { owner } }) {
    const image = nameOf(imageIn(form));
    await undoRelease(services, image);
    return { text: owner.unreleased(image) };
  },

  async trace(request) {
    return { path: `${pathOf("tags")}?digest=${await digestIn(request)}#recalls` };
  },

  async recall(request) {
    const { services, form, texts } = request;
    const digest = await digestIn(request);
    const { pulls } = await services.ledger.traceOf(digest).catch(() => ({ pulls: null }));
    await services.recalls.recall(services, { digest, reason: form.get("reason")?.trim() ?? "" });
    return { text: texts.owner.recalled(digest, pulls?.length ?? null) };
  },

  async undo({ services, form, texts: { owner } }) {
    const digest = form.get("digest") ?? "";
    await services.recalls.undo(digest);
    return { text: owner.undone(digest) };
  },

  async key({ services, form, texts: { owner } }) {
    const name = form.get("name")?.trim() ?? "";
    const { key } = await services.managedKeys.make({ name, ...termsIn(form) });
    return { text: owner.keyMade(name), key };
  },

  async narrow({ services, form, texts: { owner } }) {
    const name = form.get("name") ?? "";
    await services.managedKeys.narrow(name, termsIn(form));
    return { text: owner.keyChanged(name) };
  },

  async rotate({ services, form, texts: { owner } }) {
    const name = form.get("name") ?? "";
    const { key } = await services.managedKeys.rotate(name, {});
    return { text: owner.keyMade(name), key };
  },

  async revoke({ services, form, texts: { owner } }) {
    const name = form.get("name") ?? "";
    await services.managedKeys.revoke(name);
    return { text: owner.revoked(name) };
  },

  async untag(request) {
    const tag = request.form.get("tag") ?? "";
    return removeHosted(request, { tag }, `:${tag}`);
  },

  async delete(request) {
    const digest = parseDigest(request.form.get("digest") ?? "");
    if (!digest) throw new RegistryError(400, "DIGEST_INVALID", "this is no digest");
    return removeHosted(request, { digest }, `@${shortDigest(digest)}`);
  },

  async "delete-repository"(request) {
    if (request.form.get("sure") === "yes") return removeHosted(request, "all", "");
    throw new RegistryError(400, "UNSUPPORTED", "confirm that the repository is to be deleted");
  },

  async gc({ services, texts: { owner } }) {
    await requireOwnHosted(services.gateway);
    const { freed, deleted, hasMore } = await services.hostedRecords.collect(false);
    return { text: owner.collected(bytesText(freed), deleted, hasMore) };
  },
};

async function removeHosted(
  { services, texts: { owner }, c }: ActionRequest,
  part: HostedPart,
  suffix: string,
): Promise<Done> {
  await requireOwnHosted(services.gateway);
  const repository = c.req.query("repository") ?? "";
  const name = `${services.config.hosted.path}/${repository}${suffix}`;
  const removed = await services.hostedRecords.remove(repository, part, false);
  if (removed === "unknown") throw new RegistryError(404, "NAME_UNKNOWN", `${name} isn't here`);
  if (removed === "immutable")
    throw new RegistryError(403, "DENIED", `${name} is immutable here (HOSTED_IMMUTABLE)`);
  return { text: owner.deleted(name, removed.tags, removed.manifests, bytesText(removed.freed)) };
}

function imageIn(form: URLSearchParams): Reference {
  const found = extractImages(form.get("image") ?? "").images[0];
  if (found) return found.reference;
  throw new RegistryError(400, "NAME_INVALID", "this is no image's name");
}

function nameOf({ registry, repository, suffix }: Reference): string {
  return `${registry}/${repository}${suffix === "" ? ":latest" : suffix}`;
}

/** A digest, or that of the image that a form names. */
async function digestIn({ services, form, c }: ActionRequest): Promise<Digest> {
  const text = form.get("digest")?.trim() ?? "";
  const digest = parseDigest(text);
  if (digest) return digest;
  const image = nameOf(imageIn(new URLSearchParams({ image: text })));
  return (await findImage(services, image, "HEAD", waitUntilOf(c.executionCtx))).digest;
}

/** What a key is to open, as the form has it. */
function termsIn(form: URLSearchParams) {
  const patterns = (name: string) => (form.get(name) ?? "").split(/[\s,]+/).filter(Boolean);
  const [expires, rate] = [form.get("expires") ?? "", form.get("rate") ?? ""];
  return {
    ...{
      allow: patterns("allow"),
      deny: patterns("deny"),
      push: patterns("push"),
      delete: patterns("delete"),
    },
    // The whole of the day that was chosen.
    expires: expires === "" ? null : `${expires}T23:59:59Z`,
    rate: rate === "" ? null : Number(rate),
  };
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
