/** What a mirror does below `/_/` for programs, request by request. */
import type { GenericSchema, ObjectEntries, ObjectSchema } from "valibot";
import * as v from "valibot";
import {
  FeedQuery,
  MakeRequest,
  ManifestQuery,
  PageQuery,
  PinRequest,
  PurgeRequest,
  RecallRequest,
  ReleaseRequest,
  RemovalRequest,
  RotateRequest,
  StatsQuery,
  TermsRequest,
  WarmRequest,
} from "../../src/ledger/requests.ts";
import * as responses from "./responses.ts";

export interface Operation {
  summary: string;
  /** What it takes; ADMIN_KEY if absent. */
  key?: "none" | "access key";
  query?: ObjectSchema<ObjectEntries, undefined>;
  body?: GenericSchema;
  /** Of a success; 200 if absent. */
  status?: number;
  /** Its JSON, or the media types of another body; absent where there is none. */
  response?: GenericSchema | readonly string[];
  /** What errors mean, by status, where their status alone doesn't say it. */
  errors?: Readonly<Record<number, string>>;
}

const NOT_STORED = { 404: "It isn't stored." };
const TokenQuery = v.object({
  service: v.optional(v.string()),
  scope: v.optional(v.string()),
  offline_token: v.optional(v.picklist(["true", "false"])),
});

/** By method and path. `{image}` is `[upstream/]repository[:tag][@digest]`, whose slashes stay as they are. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  "GET /_/health": {
    summary: "Whether pulls can be served and stored",
    key: "none",
    response: responses.Health,
    errors: { 503: "They can't." },
  },
  "GET /_/token": {
    summary: "A token for an access key, as registries have it",
    key: "access key",
    query: TokenQuery,
    response: responses.Token,
  },
  "GET /_/openapi.json": { summary: "This document", response: v.record(v.string(), v.unknown()) },
  "GET /_/status": { summary: "How the mirror is", response: responses.Status },
  "GET /_/stats": {
    summary: "Requests and bytes of the last hours",
    query: StatsQuery,
    response: responses.Stats,
  },
  "GET /_/metrics": { summary: "Metrics for Prometheus", response: ["text/plain"] },
  "GET /_/images": { summary: "The store, image by image", response: responses.Store },
  "GET /_/images/{image}": {
    summary: "An image, what it shares with others, and its objects",
    response: responses.ImageDetails,
    errors: NOT_STORED,
  },
  "DELETE /_/images/{image}": {
    summary: "Removes an image, but for what others need",
    response: responses.Removed,
    errors: NOT_STORED,
  },
  "POST /_/rm": {
    summary: "Removes several images, or counts what would be removed",
    body: RemovalRequest,
    response: responses.Removed,
    errors: { 404: "One of them isn't stored; none was removed." },
  },
  "GET /_/prune": { summary: "What no stored manifest refers to", response: responses.Pruned },
  "POST /_/prune": { summary: "Removes it", response: responses.Pruned },
  "GET /_/tags": { summary: "Tag records", query: PageQuery, response: responses.Tags },
  "GET /_/tags/{image}": {
    summary: "What a tag, or each tag of a repository, was seen to name",
    response: responses.History,
  },
  "GET /_/objects": { summary: "Manifests and blobs by key", query: PageQuery, response: responses.Objects },
  "GET /_/manifests/{digest}": {
    summary: "A stored manifest",
    query: ManifestQuery,
    response: ["application/octet-stream"],
    errors: NOT_STORED,
  },
  "POST /_/purge": {
    summary: "Removes tag records and objects, whatever needs them",
    body: PurgeRequest,
    status: 204,
  },
  "POST /_/warm": {
    summary: "Fetches a part of an image; to be repeated with the response's cursor until isDone",
    body: WarmRequest,
    response: responses.Warmed,
    errors: { 429: "The rest of today's free quotas is kept for pulls, or the upstream limits requests." },
  },
  "GET /_/resolve/{image}": {
    summary: "The digest that a pull of an image would get",
    response: responses.Resolved,
  },
  "GET /_/pulls/{digest}": {
    summary: "Who pulled a digest, and which tags led to it",
    response: responses.Trace,
  },
  "GET /_/recalled": { summary: "Recalled digests", response: responses.Recalled },
  "POST /_/recalled": {
    summary: "Denies a digest to all clients",
    body: RecallRequest,
    status: 204,
    errors: { 409: "As many are recalled as can be." },
  },
  "DELETE /_/recalled/{digest}": {
    summary: "Ends a recall",
    status: 204,
    errors: { 404: "It isn't recalled." },
  },
  "GET /_/feed": {
    summary: "Tags that moved, as Atom or JSON Feed",
    query: FeedQuery,
    response: ["application/atom+xml", "application/feed+json"],
  },
  "GET /_/gone": {
    summary: "Images that upstream has deleted and KEEP keeps",
    query: PageQuery,
    response: responses.Gone,
  },
  "GET /_/released": { summary: "Digests that COOLDOWN doesn't hold back", response: responses.Released },
  "POST /_/released": {
    summary: "Releases what a tag names now",
    body: ReleaseRequest,
    response: responses.JustReleased,
    errors: { 404: "Nothing is known behind the tag.", 409: "COOLDOWN doesn't apply to it." },
  },
  "DELETE /_/released/{image}": {
    summary: "Ends the releases of a tag",
    status: 204,
    errors: { 404: "Nothing is released for it." },
  },
  "GET /_/pins": { summary: "Patterns of images that are never evicted", response: responses.Pinned },
  "POST /_/pins": {
    summary: "Pins images",
    body: PinRequest,
    status: 204,
    errors: { 409: "Too many patterns are pinned." },
  },
  "DELETE /_/pins/{pattern}": {
    summary: "Ends a pin",
    status: 204,
    errors: { 404: "It isn't pinned.", 409: "It is in `PIN`." },
  },
  "GET /_/keys": { summary: "Access keys", response: responses.Keys },
  "POST /_/keys": {
    summary: "Makes an access key, which is shown this once",
    body: MakeRequest,
    status: 201,
    response: responses.MadeKey,
    errors: { 409: "Its name is taken, or the mirror is open to everyone." },
  },
  "PUT /_/keys/{name}": {
    summary: "Gives an access key other terms",
    body: TermsRequest,
    status: 204,
    errors: { 404: "There is no such key.", 409: "It is one of ACCESS_KEYS." },
  },
  "DELETE /_/keys/{name}": {
    summary: "Revokes an access key",
    status: 204,
    errors: { 404: "There is no such key.", 409: "It is one of ACCESS_KEYS." },
  },
  "POST /_/keys/{name}/rotate": {
    summary: "Gives an access key another value",
    body: RotateRequest,
    response: responses.MadeKey,
    errors: { 404: "There is no such key.", 409: "It is one of ACCESS_KEYS." },
  },
  "GET /_/hosted": { summary: "Hosted repositories", query: PageQuery, response: responses.Hosted },
  "GET /_/gc": {
    summary: "What garbage collection of hosted repositories would free",
    response: responses.Collected,
  },
  "POST /_/gc": { summary: "Frees a batch of it", response: responses.Collected },
};
