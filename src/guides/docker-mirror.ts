/** The one mirror that dockerd can have, by `registry-mirrors` or `--registry-mirror`: for docker.io only, and without a login. */
import { endpoint, keyedHostEndpoint } from "./addresses.ts";
import type { GuideRequest } from "./guide.ts";

export interface DockerMirror {
  url: string;
  notes: string[];
}

const ONLY_HUB =
  "dockerd uses its mirror for docker.io only. For other registries, put the mirror's name in front of the image's name.";
const NEEDS_PATH = "A mirror URL with a path requires Docker 24.0.8 or later; older versions reject it.";

/** Host form where there is a DOMAIN; else the mirror itself, whose default upstream is docker.io, or with a key a path. */
export function dockerMirror(request: GuideRequest): DockerMirror {
  const { mirror, domain, key, shape } = request;
  if (key !== null) return keyedMirror(mirror, domain, key);
  if (shape === "prefix")
    return { url: endpoint(request, "docker.io", shape), notes: [ONLY_HUB, NEEDS_PATH] };
  if (domain !== null) {
    const notes =
      shape === "path" || shape === "ns"
        ? [`dockerd can't use the ${shape} form, so the host form is used.`]
        : [];
    return { url: endpoint(request, "docker.io", "host"), notes: [ONLY_HUB, ...notes] };
  }
  return {
    url: mirror.origin,
    notes: [
      ONLY_HUB,
      "This relies on docker.io being the mirror's default upstream, which it is unless DEFAULT_UPSTREAM names another.",
    ],
  };
}

function keyedMirror(mirror: URL, domain: string | null, key: string): DockerMirror {
  const noLogin =
    "dockerd doesn't send logins to a mirror, so the key is part of the URL: protect the file like a password.";
  if (domain === null) {
    return { url: `${mirror.origin}/${key}/docker.io`, notes: [ONLY_HUB, noLogin, NEEDS_PATH] };
  }
  const url = keyedHostEndpoint(mirror, "docker.io", domain, key);
  return {
    url,
    notes: [ONLY_HUB, noLogin, `A certificate for *.${domain} covers ${new URL(url).host} too.`],
  };
}
