/** registries.conf (containers-registries.conf(5)), which podman, buildah, skopeo and CRI-O read. */
import { chooseShape, endpoint, isPlainHttp, moreNotes, referencePrefix, upstreamsOf } from "./addresses.ts";
import { type GuideFile, type GuideRequest, toml } from "./guide.ts";

/** @returns with the hosts that a login for the mirror is for */
export function registriesConf(request: GuideRequest): {
  file: GuideFile;
  hosts: readonly string[];
  notes: string[];
} {
  const { shape, notes } = chooseShape(request, ["path", "host"]);
  const insecure = isPlainHttp(request) ? { insecure: true } : {};
  const registry = upstreamsOf(request).map((upstream) => {
    const location =
      shape === "host"
        ? new URL(endpoint(request, upstream, shape)).host
        : referencePrefix(request, upstream);
    return { prefix: upstream, location: upstream, mirror: [{ location, ...insecure }] };
  });
  return {
    hosts: [...new Set(registry.flatMap(({ mirror }) => mirror.map(({ location }) => hostOf(location))))],
    file: toml("/etc/containers/registries.conf.d/portolan.conf", { registry }),
    notes: [
      ...notes,
      ...moreNotes(request),
      "No entry can cover all registries at once: each needs its own.",
      "When the mirror can't serve a manifest, the registry itself is used. A layer that breaks off midway isn't retried elsewhere.",
    ],
  };
}

/** The host and port that an image's name or a part of it begins with. */
function hostOf(location: string): string {
  return location.split("/", 1)[0] ?? location;
}
