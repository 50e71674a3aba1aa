/** The owner's request to fetch an image ahead. */
import { type Warmed, warm } from "../pull/warm.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { findImage, type ImageServices } from "./image-request.ts";
import type { Recalls } from "./recalls.ts";
import { parsed, WarmRequest } from "./requests.ts";

export interface WarmRequestServices extends ImageServices {
  recalls: Recalls;
}

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
  const message = "the body has an image, and may have platforms such as linux/amd64 and a cursor";
  const { image, platforms, cursor } = parsed(WarmRequest, request, message);
  const { recalls } = services;
  const { repository, digest, access } = await findImage(services, image, "GET", waitUntil);
  await recalls.refresh();
  recalls.refuse(digest);
  const isRefused = recalls.isRecalled.bind(recalls);
  const { calls: _, ...warmed } = await warm(services, access, digest, { platforms, cursor, isRefused });
  return { repository, ...warmed };
}
