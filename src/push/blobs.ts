/** Blobs of hosted repositories: read natively, and unlinked. */

import {
  contentHeaders,
  IMMUTABLE,
  isUnchanged,
  partial,
  unsatisfiable,
  whole,
} from "../oci/content-response.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { contentRange, isInverted, parseRanges, unsatisfiedRange } from "../oci/range.ts";
import { hostedKey, RangeNotSatisfiable } from "../store/store.ts";
import { policyFor } from "./policy.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";

/** @throws RegistryError */
export async function serveBlob(
  { hostedRecords, store }: PushServices,
  { method, headers, target }: HostedRequest,
  digest: Digest,
): Promise<Response> {
  const size = await hostedRecords.findBlob(target.repository, digest);
  if (size === null) throw unknown(digest);
  const responseHeaders = {
    ...contentHeaders(digest),
    "Accept-Ranges": "bytes",
    "Cache-Control": IMMUTABLE,
    "Content-Type": "application/octet-stream",
  };
  if (isUnchanged(headers, digest)) return new Response(null, { status: 304, headers: responseHeaders });
  if (method === "HEAD") return whole(null, responseHeaders, size);
  if (isInverted(headers.get("Range"))) return unsatisfiable(responseHeaders, unsatisfiedRange(size));
  const condition = headers.get("If-Range");
  const ranges = condition === null || condition === `"${digest}"` ? parseRanges(headers.get("Range")) : [];
  // Several ranges at once may be answered with the whole (RFC 9110 §14.2).
  const range = ranges.length === 1 ? ranges[0] : undefined;
  try {
    const object = await store.get(hostedKey("blobs", digest), range);
    if (!object) throw new RegistryError(503, "UNAVAILABLE", `the store has lost ${digest}: push it again`);
    if (!object.range) return whole(object.body, responseHeaders, object.size);
    const { offset, length } = object.range;
    return partial(object.body, responseHeaders, contentRange(offset, length, object.size), length);
  } catch (error) {
    if (!(error instanceof RangeNotSatisfiable)) throw error;
    return unsatisfiable(responseHeaders, unsatisfiedRange(error.size));
  }
}

/** Takes a blob from the repository; its content is freed once no repository has it. @throws RegistryError */
export async function deleteBlob(
  { hostedRecords, config }: PushServices,
  { target: { repository } }: HostedRequest,
  digest: Digest,
): Promise<Response> {
  const result = await hostedRecords.deleteBlob(repository, digest, policyFor(config.hosted, repository));
  if (result === "immutable") {
    throw new RegistryError(403, "DENIED", "this repository is immutable here (HOSTED_IMMUTABLE)");
  }
  if (result === "unknown") throw unknown(digest);
  return new Response(null, { status: 202, headers: { "Content-Length": "0" } });
}

function unknown(digest: Digest): RegistryError {
  return new RegistryError(404, "BLOB_UNKNOWN", `${digest} is not in this repository`);
}
