/** Docker from 28 on with containerd's image store: a hosts.toml for each registry, all of them and not docker.io only. */
import { fileSteps, type Guide, type GuideRequest, json } from "../guide.ts";
import { hostsFiles, REFERRERS } from "../hosts-toml.ts";
import { DAEMON_JSON } from "./docker.ts";

export function dockerContainerd(request: GuideRequest): Guide {
  // dockerd looks into a registry's own folder and never into `_default`.
  const { files, notes } = hostsFiles(request, "/etc/docker/certs.d", false);
  return {
    title: "Docker with the containerd image store",
    steps: [
      {
        text: "Enable the containerd image store. New installations of Docker 29 and later enable it by default. While it is enabled, images in the other store are hidden and have to be pulled again.",
        file: json(DAEMON_JSON, { features: { "containerd-snapshotter": true } }),
      },
      ...fileSteps(files, "Configure a mirror for each registry."),
      { text: "Restart Docker.", command: "systemctl restart docker" },
    ],
    notes: [
      ...notes,
      "If a registry's hosts.toml names several hosts, dockerd doesn't use `registry-mirrors` for that registry.",
      REFERRERS,
      "This requires Docker 28 or later. `docker info` shows `driver-type: io.containerd.snapshotter.v1` when the store is in use.",
    ],
  };
}
