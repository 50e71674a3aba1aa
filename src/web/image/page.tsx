/** `/_/image/NAME`: what is requested of the mirror for it, and what isn't. */
import type { Context } from "hono";
import type { Config } from "../../config.ts";
import type { ImageDetail } from "../../ledger/accounts.ts";
import type { HistoryServices } from "../../ledger/tags.ts";
import type { Digest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import {
  isMirrored,
  type MirrorNames,
  parseReference,
  type Reference,
  throughMirror,
} from "../references/reference.ts";
import { maySave } from "../save/permission.ts";
import type { Visit } from "../site.ts";
import { readHistory } from "./history.tsx";
import { platformName, platformsOf } from "./model.ts";
import { part } from "./part.ts";
import {
  hostedAt,
  type Image,
  type ImageName,
  type Pull,
  readImage,
  readReferrers,
  readTags,
} from "./read.ts";
import { type StoredServices, storedAmong } from "./stored.ts";
import { type Check, ImageView } from "./view.tsx";

export interface ImageServices extends StoredServices, HistoryServices {
  config: Config;
  /** What an image takes of the store, and with which others it shares that. */
  spaceOf: (name: string) => Promise<ImageDetail | null>;
  /** What a tag names at its registry right now, for an anonymous client. */
  publisherDigest: (
    name: { upstream: string; repository: string },
    tag: string,
    c: Context,
  ) => Promise<Digest | null>;
}

/** An image as the page's address names it. */
export interface Addressed {
  name: ImageName;
  /** Null for a hosted repository. */
  source: Reference | null;
  /** The page's one address. */
  path: string;
}

/** Reads an address; null for what is no image's. */
export function addressed(text: string, names: MirrorNames, config: Config): Addressed | null {
  const given = parseReference(text);
  if (!given) return null;
  const inner =
    isMirrored(given, names) && names.hosts === null ? `${given.repository}${given.suffix}` : null;
  if (inner !== null && inner !== text) return addressed(inner, names, config);
  const reference = /@(.+)$/.exec(given.suffix)?.[1] ?? given.suffix.slice(1);
  const isHosted = text.startsWith(`${config.hosted.path}/`);
  const path = isHosted ? given.repository : `${given.registry}/${given.repository}`;
  const name = { path, reference: reference === "" ? "latest" : reference };
  const separator = name.reference.includes(":") ? "@" : ":";
  return { name, source: isHosted ? null : given, path: `/_/image/${path}${separator}${name.reference}` };
}

/** @throws RegistryError if the image itself can't be read; its other parts may fail by themselves. */
export async function imagePage(
  services: ImageServices,
  c: Context,
  visit: Visit,
  pull: Pull,
  image: Addressed,
  isOwner: boolean,
) {
  const { name, source } = image;
  if (source && !services.config.upstream(source.registry) && !/[.:]/.test(source.registry)) {
    throw new RegistryError(404, "NAME_UNKNOWN", `${source.registry} is not mirrored here`);
  }
  const after = c.req.query("after") ?? null;
  const read = await readImage(pull, name, c.req.query("platform") ?? null);
  const upstream = source && { upstream: source.registry, repository: source.repository };
  const isTag = !name.reference.includes(":");
  const [tags, referrers, stored, check, history, space] = await Promise.all([
    part(readTags(pull, name.path, after)),
    part(readReferrers(pull, name.path, read.digest)),
    storedAmong(
      services,
      upstream ?? hostedAt(pull, name.path),
      read.layers.map(({ digest }) => digest),
    ),
    c.req.query("check") === undefined || !upstream
      ? null
      : compare(services.publisherDigest(upstream, name.reference, c), read.digest),
    upstream && isTag ? part(readHistory(services, upstream, name.reference, isOwner)) : null,
    upstream && isOwner ? part(services.spaceOf(`${name.path}${isTag ? ":" : "@"}${name.reference}`)) : null,
  ]);
  const separator = isTag ? ":" : "@";
  const suffix = `${separator}${name.reference}`;
  return (
    <ImageView
      visit={visit}
      name={name.path}
      reference={name.reference}
      mirrored={
        (source && throughMirror({ ...source, suffix }, visit.names)) ??
        `${visit.origin.host}/${name.path}${suffix}`
      }
      image={read}
      stored={stored}
      save={maySave(services.config, new URL(c.req.url)) ? saveAddress(name, read) : null}
      tags={tags}
      after={after}
      referrers={referrers}
      check={check}
      history={history}
      space={space}
    />
  );
}

/** With the digest, so that a download that is resumed goes on with the same image. */
function saveAddress({ path, reference }: ImageName, { digest, shown, top }: Image): string | null {
  if (!shown) return null;
  const tag = reference.includes(":") ? "" : `:${reference}`;
  const entry = platformsOf(top).find((each) => each.digest === shown.digest);
  const query = entry ? `?${new URLSearchParams({ platform: platformName(entry.platform) })}` : "";
  return `/_/save/${path}${tag}@${digest}${query}`;
}

async function compare(asked: Promise<Digest | null>, here: Digest): Promise<Check> {
  try {
    const there = await asked;
    if (there === null) return { unknown: "" };
    return there === here ? "same" : { other: there };
  } catch (error) {
    return { unknown: error instanceof Error ? error.message : "" };
  }
}
