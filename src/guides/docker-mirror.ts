/** The one mirror that dockerd can have, by `registry-mirrors` or `--registry-mirror`: for docker.io only, and without a login. */
import { endpoint, keyedHostEndpoint } from "./addresses.ts";
import type { GuideRequest } from "./guide.ts";

export interface DockerMirror {
  url: string;
  notes: string[];
}

const ONLY_HUB =
  "dockerd asks a mirror for docker.io only. Other registries are pulled by the mirror's name.";
const NEEDS_PATH = "A mirror with a path needs Docker 24.0.8 or later; older ones refuse it.";

/** Host form where there is a DOMAIN; else the mirror itself, whose default upstream is docker.io, or with a key a path. */
export function dockerMirror(request: GuideRequest): DockerMirror {
  const { mirror, domain, key, shape } = request;
  if (key !== null) return keyedMirror(mirror, domain, key);
  if (shape === "prefix")
    return { url: endpoint(request, "docker.io", shape), notes: [ONLY_HUB, NEEDS_PATH] };
  if (domain !== null) {
    const notes =
      shape === "path" || shape === "ns"
        ? [`dockerd can't carry the ${shape} form, so the host form is used.`]
        : [];
    return { url: endpoint(request, "docker.io", "host"), notes: [ONLY_HUB, ...notes] };
  }
  return {
    url: mirror.origin,
    notes: [
      ONLY_HUB,
      "This counts on docker.io as the mirror's default upstream, which it is unless DEFAULT_UPSTREAM says otherwise.",
    ],
  };
}

function keyedMirror(mirror: URL, domain: string | null, key: string): DockerMirror {
  const noLogin =
    "dockerd sends no login of its own to a mirror, so the key is part of the address: keep the file as you keep a password.";
  if (domain === null) {
    return { url: `${mirror.origin}/${key}/docker.io`, notes: [ONLY_HUB, noLogin, NEEDS_PATH] };
  }
  const url = keyedHostEndpoint(mirror, "docker.io", domain, key);
  return {
    url,
    notes: [
      ONLY_HUB,
      noLogin,
      `${new URL(url).host} needs no certificate of its own beside one for *.${domain}.`,
    ],
  };
}
