/** The owner's request to fetch an image ahead. */
import * as v from "valibot";
import { RegistryError } from "../oci/errors.ts";
import { type Warmed, warm } from "../pull/warm.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { findImage, type ImageServices } from "./image-request.ts";
import type { Recalls } from "./recalls.ts";

export interface WarmRequestServices extends ImageServices {
  recalls: Recalls;
}

const PLATFORM = /^[a-z0-9]+\/[a-z0-9_-]+(\/[a-z0-9.]+)?$/;

export const WarmRequest = v.strictObject({
  /** As in docker pull: `docker.io/library/alpine:3`. */
  image: v.string(),
  /** All if empty. */
  platforms: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(PLATFORM))), v.maxLength(20)), []),
  /** Of the response before. */
  cursor: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
});

export interface WarmResponse extends Omit<Warmed, "calls"> {
  /** Upstream and repository. */
  repository: string;
}

/**
 * Fetches what one request may of an image, as a pull of it would: what the gate and recalls deny stays denied.
 * @param request as parsed from JSON.
 * @throws RegistryError
 */
export async function warmImage(
  services: WarmRequestServices,
  request: unknown,
  waitUntil: WaitUntil,
): Promise<WarmResponse> {
  const parsed = v.safeParse(WarmRequest, request);
  if (!parsed.success) {
    const message = "the body has an image, and may have platforms such as linux/amd64 and a cursor";
    throw new RegistryError(400, "UNSUPPORTED", message);
  }
  const { image, platforms, cursor } = parsed.output;
  const { recalls } = services;
  const { repository, digest, access } = await findImage(services, image, "GET", waitUntil);
  await recalls.refresh();
  recalls.refuse(digest);
  const isRefused = recalls.isRecalled.bind(recalls);
  const { calls: _, ...warmed } = await warm(services, access, digest, { platforms, cursor, isRefused });
  return { repository, ...warmed };
}
