/** `/_/save/NAME`: an image as a tar for `docker load`, whose download can be resumed. */
import { type Context, Hono } from "hono";
import { readAuthorization } from "../../access/credentials.ts";
import { formatChallenge } from "../../oci/challenge.ts";
import { parseDigest, wellKnown } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { Manifest } from "../../oci/manifest.ts";
import { contentRange, parseRanges, resolveRange, type Slice, unsatisfiedRange } from "../../oci/range.ts";
import { waitUntilOf } from "../../pull/wait-until.ts";
import { chooseEntry, platformName, platformsOf } from "../image/model.ts";
import { type Addressed, addressed, type ImageServices } from "../image/page.tsx";
import { accepted, hostedAt, manifestAt, type Pull } from "../image/read.ts";
import { type StoredIn, type StoredServices, storedAmong } from "../image/stored.ts";
import type { PageKit } from "../page-kit.tsx";
import { wantsPage } from "../respond.ts";
import { authorizationFor, authorizationOf, type SessionServices } from "../session.ts";
import { signInPath } from "../session-page.tsx";
import { visitOf } from "../site.ts";
import { type Archive, archiveOf, type SavedManifest } from "./archive.ts";
import { bodyOf } from "./body.ts";
import { maySave } from "./permission.ts";

export interface SaveServices extends SessionServices, StoredServices {
  config: ImageServices["config"];
  /** Requests of the mirror's registry with an Authorization. */
  pullOf: (c: Context, authorization: string | null) => Pull;
}

export function saveRoutes(services: SaveServices, { page }: PageKit): Hono {
  const routes = new Hono();
  // An error is a page for a person who follows a link, and the registry's JSON for a program.
  routes.get("/_/save/*", (c, next) => (wantsPage(c) ? page(c, next) : next()));
  routes.get("/_/save/*", async (c) => {
    const image = imageAt(c, services);
    const authorization = await authorize(services, c);
    if (authorization === "sign in") return c.redirect(signInPath(image.path), 303);
    const pull = services.pullOf(c, authorization);
    const saved = await manifestOf(pull, image.addressed, c.req.query("platform") ?? null);
    const { source, name } = image.addressed;
    const where = source
      ? { upstream: source.registry, repository: source.repository }
      : hostedAt(pull, name.path);
    await requireStored(services, where, saved.manifest);
    const archive = await archiveOf(saved, {
      registry: source?.registry ?? new URL(c.req.url).host,
      repository: source?.repository ?? name.path,
      tag: image.tag,
    });
    return respond(c, archive, fileName(name.path, image.tag ?? saved.digest.slice(7, 19)), pull, name.path);
  });
  return routes;
}

/**
 * A tar is put together from what is stored: its length is promised at once, and no registry may come between.
 * @throws RegistryError
 */
async function requireStored(
  services: StoredServices,
  where: StoredIn,
  { config, layers }: Manifest,
): Promise<void> {
  const digests = [...(config ? [config] : []), ...layers].map(({ digest }) => digest);
  const unique = [...new Set(digests)].filter((digest) => wellKnown(digest) === null);
  const stored = await storedAmong(services, where, unique);
  const [missing] = unique.filter((digest) => !stored.get(digest));
  if (missing === undefined) return;
  const message =
    stored.size < unique.length
      ? "not all layers of the image could be looked up here: use portolan save"
      : `${missing} isn't stored here: pull the image through this mirror first, or use portolan save`;
  throw new RegistryError(404, "BLOB_UNKNOWN", message);
}

interface SavedImage {
  addressed: Addressed;
  tag: string | null;
  path: string;
}

/** Reads the address. With a tag and a digest, the digest says what is saved, and the tag what it is called. */
function imageAt(c: Context, { config }: SaveServices): SavedImage {
  const path = c.req.path.replaceAll(/%3a/gi, ":").replaceAll("%40", "@");
  const image = addressed(path.slice("/_/save/".length), visitOf(c, config).names, config);
  if (!image) throw new RegistryError(400, "NAME_INVALID", "this is no image's name");
  const [, written = null] = /:([^:/]+)$/.exec(path.replace(/@.*$/, "")) ?? [];
  const tag = written ?? (parseDigest(image.name.reference) ? null : image.name.reference);
  return { addressed: image, tag, path: image.path };
}

/**
 * @returns the Authorization of requests made for the visitor; null where none is needed.
 */
async function authorize(services: SaveServices, c: Context): Promise<string | null | "sign in"> {
  const url = new URL(c.req.url);
  if (!maySave(services.config, url)) {
    const message = "an open mirror gives images as a tar to its own machine only: use portolan save";
    throw new RegistryError(403, "DENIED", message);
  }
  if (services.config.access === "open") return null;
  const session = await authorizationOf(services, c);
  if (session !== null) return session;
  const sent = readAuthorization(c.req.header("Authorization") ?? null);
  const key = sent?.scheme === "basic" ? await services.gate.find(sent.password) : null;
  if (key) return authorizationFor(services, key);
  if (sent === null && wantsPage(c)) return "sign in";
  throw new RegistryError(401, "UNAUTHORIZED", "send an access key as the password, with any user name", {
    "WWW-Authenticate": formatChallenge("Basic", { realm: url.host }),
  });
}

/** The manifest that is saved: of an index, one platform's. */
async function manifestOf(pull: Pull, { name }: Addressed, platform: string | null): Promise<SavedManifest> {
  const top = await manifestAt(pull, name.path, name.reference);
  if (top.manifest.kind !== "index") return top;
  const entry = chooseEntry(top.manifest, platform);
  const isOther =
    platform !== null && !platformsOf(top.manifest).some((each) => platformName(each.platform) === platform);
  if (!entry || isOther) {
    throw new RegistryError(
      404,
      "MANIFEST_UNKNOWN",
      `the image isn't made for ${platform ?? "any platform"}`,
    );
  }
  return manifestAt(pull, name.path, entry.digest);
}

function fileName(path: string, suffix: string): string {
  return `${path.split("/").at(-1)}-${suffix}.tar`.replaceAll(/[^A-Za-z0-9._-]/g, "_");
}

async function respond(
  c: Context,
  archive: Archive,
  file: string,
  pull: Pull,
  path: string,
): Promise<Response> {
  const { size, etag } = archive;
  const headers = new Headers({
    "Content-Type": "application/x-tar",
    "Content-Disposition": `attachment; filename="${file}"`,
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    ETag: etag,
  });
  if (matches(c.req.header("If-None-Match"), etag)) return new Response(null, { status: 304, headers });
  const part = partOf(c, archive);
  if (part === null) {
    headers.set("Content-Range", unsatisfiedRange(size));
    return new Response(null, { status: 416, headers });
  }
  const { offset, length } = part;
  const isWhole = length === size;
  headers.set("Content-Length", String(length));
  if (!isWhole) headers.set("Content-Range", contentRange(offset, length, size));
  const status = isWhole ? 200 : 206;
  if (c.req.method === "HEAD") return new Response(null, { status, headers });
  const body = await bodyOf(archive.parts, part, (digest, range) =>
    accepted(pull("GET", `${path}/blobs/${digest}`, range === null ? {} : { Range: range })),
  );
  waitUntilOf(c.executionCtx)(
    body.sent.catch((error: unknown) => {
      const isGone = c.req.raw.signal.aborted;
      if (!isGone)
        console.warn(`a tar of ${path} broke off: ${error instanceof Error ? error.message : error}`);
    }),
  );
  return new Response(body.readable, { status, headers });
}

/** What is requested of the tar: all of it unless one range is (RFC 9110 §13.1.5, §14.2); null for none of its bytes. */
function partOf(c: Context, { size, etag }: Archive): Slice | null {
  const whole = { offset: 0, length: size };
  const condition = c.req.header("If-Range");
  if (c.req.method !== "GET" || (condition !== undefined && condition !== etag)) return whole;
  const [range, ...more] = parseRanges(c.req.header("Range") ?? null);
  return range === undefined || more.length > 0 ? whole : resolveRange(range, size);
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}
