/** podman, buildah and skopeo: a drop-in file of registries.conf, and auth.json. */
import { exampleImage, type Guide, type GuideRequest } from "../guide.ts";
import { authFile } from "../login.ts";
import { registriesConf } from "../registries-conf.ts";

export function podman(request: GuideRequest): Guide {
  const { file, hosts, notes } = registriesConf(request);
  const { key } = request;
  return {
    title: "podman, buildah and skopeo",
    steps: [
      { text: "Configure a mirror for each registry. The file is read on every pull.", file },
      ...(key === null
        ? []
        : [
            {
              text: "Store the mirror's key for them; `podman login` would write the same.",
              file: authFile(hosts, key, "~/.config/containers/auth.json"),
            },
          ]),
      {
        text: "Pull as usual, with the registry's own name.",
        command: `podman pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      "A user's own `~/.config/containers/registries.conf` replaces the system-wide files entirely.",
    ],
  };
}
