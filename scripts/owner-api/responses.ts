/**
 * Shapes of the JSON with which a mirror responds to its owner below `/_/`: what the commands read it by, and what
 * `/_/openapi.json` shows. Members that aren't named are ignored, so that commands also read a newer mirror.
 */
import * as v from "valibot";
import { DigestSchema as Digest } from "../../src/oci/digest-schema.ts";

const of = (description: string) => v.pipe(v.number(), v.description(description));
const timeOf = (description: string) => of(`${description}, in milliseconds since the epoch`);
const Bytes = of("Bytes");
const Day = v.pipe(v.string(), v.isoDate());
const Time = v.pipe(v.string(), v.isoTimestamp());
const Visibility = v.picklist(["public", "private"]);
const Missing = v.pipe(
  v.array(v.string()),
  v.description(
    "Parts of the mirror that couldn't be read: ledger, hosted, keys. The rest is given without them.",
  ),
);
const TagName = { upstream: v.string(), repository: v.string(), tag: v.string() };

/** One page of a list. */
function pageOf<const Entry extends v.GenericSchema>(entry: Entry) {
  return v.object({
    entries: v.array(entry),
    cursor: v.pipe(v.nullable(v.string()), v.description("For the next page; null after the last")),
  });
}

export const Refusal = v.object({
  errors: v.looseTuple([v.object({ code: v.string(), message: v.string(), detail: v.unknown() })]),
});

export const Health = v.object({ status: v.picklist(["ok", "unavailable"]) });
export const Token = v.object({
  token: v.string(),
  access_token: v.string(),
  expires_in: of("Seconds"),
  issued_at: Time,
  refresh_token: v.optional(v.string()),
});

const Endpoint = v.object({
  url: v.string(),
  downFor: of("Seconds until it is requested again; 0 where it isn't down"),
  limitedFor: of("Seconds for which it limits requests"),
});
const Usage = v.record(v.string(), v.number());
export const Status = v.object({
  missing: Missing,
  quotas: v.pipe(
    v.nullable(v.object({ used: Usage, free: Usage, tight: v.array(v.string()) })),
    v.description(
      "Today's use of the Free plan's quotas; null where they don't apply, or the ledger is missing.",
    ),
  ),
  deployment: v.string(),
  started: Time,
  access: v.picklist(["open", "keys"]),
  keys: v.nullable(of("Access keys")),
  limit: of("CACHE_LIMIT, in bytes"),
  hosted: v.nullable(
    v.object({
      repositories: v.number(),
      tags: v.number(),
      manifests: v.number(),
      blobs: v.number(),
      bytes: v.number(),
      uploads: v.number(),
    }),
  ),
  forwarded: v.pipe(
    v.nullable(
      v.object({
        to: v.string(),
        url: v.optional(v.string()),
        uploads: v.number(),
        blobs: v.number(),
        present: v.number(),
        manifests: v.number(),
        bytes: v.number(),
        failed: v.number(),
      }),
    ),
    v.description("What a gateway has sent to the other mirror since it started; null where it isn't one."),
  ),
  upstreams: v.array(v.string()),
  relays: v.array(v.object({ url: v.string(), upstreams: v.array(v.string()), when: v.string() })),
  endpoints: v.array(Endpoint),
});

const Sum = v.object({ requests: v.number(), bytes: v.number() });
const Sums = v.record(v.string(), Sum);
export const Stats = v.object({
  missing: Missing,
  requests: v.optional(v.number()),
  bytes: v.optional(v.number()),
  hitRatio: v.optional(
    v.pipe(
      v.nullable(v.number()),
      v.description(
        "Share of the responses with content that needed none from upstream, 0 to 1; null without any.",
      ),
    ),
  ),
  bytesSaved: v.optional(of("Bytes that were served without upstream")),
  errors: v.optional(of("Responses of 500 and above")),
  byUpstream: v.optional(Sums),
  bySource: v.optional(v.pipe(Sums, v.description("By where responses came from."))),
  series: v.optional(v.pipe(Sums, v.description("By the start of each span of time, ISO 8601."))),
});

export const Tags = pageOf(
  v.object({
    ...TagName,
    visibility: Visibility,
    digest: Digest,
    mediaType: v.string(),
    size: of("Bytes of the manifest"),
    confirmed: timeOf("When its registry last said so"),
    gone: v.optional(timeOf("When its registry was first found to have deleted it")),
  }),
);

const TagPast = v.object({
  ...TagName,
  visibility: Visibility,
  history: v.pipe(
    v.array(
      v.object({
        digest: v.pipe(v.nullable(Digest), v.description("Null while it was deleted upstream")),
        from: Time,
        to: Time,
        isCurrent: v.boolean(),
        isReleased: v.boolean(),
      }),
    ),
    v.description("The latest first."),
  ),
  served: v.pipe(v.nullable(Digest), v.description("What a pull would get now.")),
});
export const History = v.object({ entries: v.array(TagPast) });

const StoredObject = v.object({
  key: v.string(),
  size: Bytes,
  stored: timeOf("When it was stored"),
  used: v.nullable(timeOf("Its last use, to the hour")),
});
export const Objects = v.object({ missing: Missing, ...pageOf(StoredObject).entries });

const image = {
  names: v.array(v.object({ name: v.string(), confirmed: v.nullable(Time) })),
  digest: Digest,
  visibility: Visibility,
  size: of("Bytes that are stored of it"),
  alone: of("Bytes that no other image needs"),
  isWhole: v.boolean(),
  isPinned: v.boolean(),
  firstUse: Day,
  lastUse: Day,
  hours: of("Hours in which it was used"),
  leaves: v.pipe(
    v.nullable(v.number()),
    v.description("Its place in the order of eviction; null if it never leaves."),
  ),
  frees: v.pipe(
    v.nullable(v.number()),
    v.description("Bytes that are freed when it leaves, after all before it; null if it never does."),
  ),
};
const Image = v.object(image);
export const Store = v.object({
  missing: Missing,
  limit: of("CACHE_LIMIT, in bytes"),
  bytes: of("Bytes that count for it"),
  stored: v.array(
    v.object({ kind: v.string(), visibility: Visibility, bytes: v.number(), objects: v.number() }),
  ),
  pinned: of("Bytes that never leave"),
  evicted: v.nullable(of("Bytes that were ever evicted")),
  unreferenced: v.object({ objects: v.number(), bytes: v.number() }),
  growth: of("Bytes a day"),
  full: v.nullable(Day),
  images: v.array(Image),
});
export const ImageDetails = v.object({
  missing: Missing,
  entries: v.array(
    v.object({
      ...image,
      sharedWith: v.array(v.object({ image: v.string(), bytes: v.number() })),
      objects: v.array(
        v.object({
          key: v.string(),
          size: Bytes,
          images: of("Images that need it"),
          firstUse: Day,
          lastUse: Day,
          source: v.nullable(v.string()),
        }),
      ),
    }),
  ),
});

export const Pruned = v.object({ objects: v.number(), bytes: v.number() });
export const Removed = v.object({ images: v.array(v.string()), ...Pruned.entries });

export const Warmed = v.object({
  repository: v.string(),
  digest: Digest,
  platforms: v.array(v.string()),
  manifests: v.number(),
  blobs: v.object({ total: v.number(), stored: v.number(), filling: v.number(), failed: v.number() }),
  bytes: v.object({ total: v.number(), stored: v.number() }),
  cursor: of("For the next call"),
  isDone: v.boolean(),
});

export const Resolved = v.object({ repository: v.string(), digest: Digest });

export const Trace = v.object({
  digest: Digest,
  pulls: v.array(
    v.object({
      key: v.pipe(v.string(), v.description("Name of the access key; empty where none was needed.")),
      first: timeOf("The first hour"),
      last: timeOf("The last hour"),
      hours: v.number(),
    }),
  ),
  tags: v.array(
    v.object({
      ...TagName,
      visibility: Visibility,
      named: Digest,
      from: timeOf("When it was first seen to"),
    }),
  ),
});

export const Recalled = v.object({
  entries: v.array(v.object({ digest: Digest, reason: v.string(), at: timeOf("When it was recalled") })),
});

const GoneImage = v.object({ ...TagName, digest: Digest, since: Time, isStored: v.boolean() });
export const Gone = pageOf(GoneImage);

const release = { ...TagName, visibility: Visibility, digest: Digest };
export const Released = v.object({
  entries: v.array(v.object({ ...release, at: timeOf("When it was released") })),
});
export const JustReleased = v.object({ entries: v.array(v.object(release)) });

export const Pinned = v.object({
  entries: v.array(
    v.object({
      pattern: v.pipe(v.string(), v.description("As in `PIN`")),
      from: v.pipe(v.picklist(["configured", "mirror"]), v.description("`configured` for one of `PIN`'s")),
    }),
  ),
});

const Patterns = v.array(v.string());
const shownKey = {
  name: v.string(),
  allow: Patterns,
  deny: Patterns,
  push: Patterns,
  delete: Patterns,
  expires: v.nullable(Time),
  rate: v.nullable(of("Requests a minute")),
  from: v.picklist(["configured", "mirror"]),
};
export const Keys = v.object({ keys: v.array(v.object(shownKey)) });
export const MadeKey = v.object({ key: v.string(), ...shownKey });

const HostedRepository = v.object({
  repository: v.string(),
  tags: v.number(),
  manifests: v.number(),
  bytes: v.number(),
  pushed: v.nullable(Time),
});
export const Hosted = pageOf(HostedRepository);

export const Collected = v.object({
  tags: v.number(),
  unlinked: v.number(),
  deleted: v.number(),
  freed: Bytes,
  uploads: v.number(),
  waiting: of("Bytes that will be freed once they are unused for a day"),
  hasMore: v.boolean(),
});

export type GoneImage = v.InferOutput<typeof GoneImage>;
export type PinnedImage = v.InferOutput<typeof Pinned>["entries"][number];
export type ReleasedTag = v.InferOutput<typeof Released>["entries"][number];
/** What a tag was seen to name, the latest first; no digest while it was deleted upstream. */
export type TagPast = v.InferOutput<typeof TagPast>;
export type WarmProgress = v.InferOutput<typeof Warmed>;
export type DigestTrace = v.InferOutput<typeof Trace>;
export type CollectedContent = v.InferOutput<typeof Collected>;
export type RecalledDigest = v.InferOutput<typeof Recalled>["entries"][number];
export type CachedObject = v.InferOutput<typeof StoredObject>;
export type CachedImage = v.InferOutput<typeof Image>;
export type StoreAccount = v.InferOutput<typeof Store>;
export type RemovedImages = v.InferOutput<typeof Removed>;
export type PrunedObjects = v.InferOutput<typeof Pruned>;
export type HostedEntry = v.InferOutput<typeof HostedRepository>;
export type MirrorStatus = v.InferOutput<typeof Status>;
export type MadeKey = v.InferOutput<typeof MadeKey>;
