/** registries.conf (containers-registries.conf(5)), which podman, buildah, skopeo and CRI-O read. */
import { chooseShape, endpoint, isPlainHttp, referencePrefix, upstreamsOf } from "./addresses.ts";
import { type GuideFile, type GuideRequest, toml } from "./guide.ts";

export function registriesConf(request: GuideRequest): { file: GuideFile; notes: string[] } {
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
    file: toml("/etc/containers/registries.conf.d/portolan.conf", { registry }),
    notes: [
      ...notes,
      "There is no entry for all registries at once: each needs one of its own.",
      "When the mirror refuses a manifest, the registry itself is asked. A layer that breaks off half-way isn't asked for elsewhere.",
    ],
  };
}
