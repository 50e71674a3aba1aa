/** hosts.toml, which containerd and all that is built on it read: one file for each registry, or one for all. */
import { chooseShape, endpoint, moreNotes, originUrl, upstreamsOf, wantsAll } from "./addresses.ts";
import { type GuideFile, type GuideRequest, type Shape, toml } from "./guide.ts";
import { basicAuthorization } from "./key.ts";

/** All four forms; `ns` first, because it needs neither a DOMAIN nor a file for each registry. */
const CARRIED = ["ns", "path", "prefix", "host"] as const;

/**
 * @param folder containerd's `config_path`
 * @param catchAll whether the client reads `_default/hosts.toml` for registries without a file of their own
 */
export function hostsFiles(
  request: GuideRequest,
  folder: string,
  catchAll = true,
): { files: GuideFile[]; notes: string[] } {
  const { shape, notes } = chooseShape(request, CARRIED);
  if (catchAll && shape === "ns" && wantsAll(request)) {
    const path = `${folder}/_default/hosts.toml`;
    return {
      files: [toml(path, hostsToml(request, null, shape))],
      notes: [
        ...notes,
        "This file applies to every registry without a hosts.toml of its own. For a registry that the mirror doesn't serve, it returns 404, and containerd then uses the registry directly.",
        FALLBACK,
      ],
    };
  }
  const files = upstreamsOf(request).map((upstream) =>
    toml(`${folder}/${upstream}/hosts.toml`, hostsToml(request, upstream, shape)),
  );
  return { files, notes: [...notes, ...moreNotes(request), FALLBACK] };
}

const FALLBACK = "When the mirror fails, containerd silently falls back to the registry itself.";

/** For containerd 2 and what is built on it. */
export const REFERRERS =
  'With containerd 2.3 or later, add `"referrers"` to `capabilities` so that lists of signatures and attestations are mirrored too. Older versions ignore a file that contains it, and use the registry.';

/** @param upstream null for the file that covers all registries, in which containerd falls back to each registry by itself */
function hostsToml(request: GuideRequest, upstream: string | null, shape: Shape): Record<string, unknown> {
  const host = {
    // With "pull" alone tags would be resolved at the registry, past the mirror.
    capabilities: ["pull", "resolve"],
    // Otherwise half a minute passes before a mirror that is off is given up.
    dial_timeout: "3s",
    ...(shape === "path" ? { override_path: true } : {}),
    ...(request.key === null ? {} : { header: { Authorization: basicAuthorization(request.key) } }),
  };
  if (upstream === null) return { host: { [request.mirror.origin]: host } };
  return {
    server: originUrl(upstream),
    host: { [endpoint(request, upstream, shape)]: host },
  };
}
