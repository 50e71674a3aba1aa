/** What the pull path needs of the rest; `services.ts` above puts it together. */
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import type { BoundedMap } from "../registry/bounded-map.ts";
import type { Remembered } from "../registry/remembered.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { Store } from "../store/store.ts";
import type { TagHistory, TagSighting } from "../store/tag-history.ts";
import type { TagRecords } from "../store/tag-records.ts";
import type { UpstreamClient } from "../upstream/client.ts";
import type { BodyLimits } from "./body.ts";
import type { FillLeases, FillOutcome } from "./fill-leases.ts";
import type { Resolver, StoredManifest } from "./resolver.ts";
import type { StoredFill } from "./stored-fill.ts";

export interface PullServices {
  config: Pick<
    Config,
    | "upstream"
    | "staleMax"
    | "private"
    | "resume"
    | "credentials"
    | "relays"
    | "cooldown"
    | "cooldownUnknown"
    | "keep"
  >;
  store: Store;
  tags: TagRecords;
  /** Records what tags are seen to name; null where nothing is recorded. */
  traffic: { see(sighting: TagSighting, waitUntil: WaitUntil): void } | null;
  /** What tags named before. */
  tagHistory: () => TagHistory;
  /** Manifests by digest. */
  manifests: BoundedMap<Digest, StoredManifest>;
  upstream: UpstreamClient;
  /** The leases of a blob's fill. */
  leasesOf: (digest: Digest) => FillLeases;
  /** Through which all requests for a repository's tags and manifests go, wherever they come from. */
  resolverOf: (repository: { upstream: string; repository: string }) => Resolver;
  /** Milliseconds for which a request waits for another one's fill. */
  fillPatience: number;
  /** Milliseconds between two looks whether it has ended. */
  fillLook: number;
  bodyLimits: BodyLimits;
  /** Called for every blob that was brought into the store. */
  onFilled: (fill: StoredFill, waitUntil: WaitUntil) => void;
  /** Called for every attempt to store a blob that failed; a permanent failure isn't tried again. */
  onFillFailed: (outcome: Exclude<FillOutcome, "stored">, waitUntil: WaitUntil) => void;
  /** How many bodies that broke off were resumed since the isolate started. */
  resumes: { count: number };
  /** Reads of the store that one request may make for itself alone. */
  storeReads: number;
  /** Where listings were deleted lately. */
  unlisted: Remembered;
  /** This deployment's entry in the Via of what it asks, by which it finds that an upstream leads back to it. */
  via: string;
  /** Milliseconds since the epoch. */
  now: () => number;
}
