/** nerdctl, which reads hosts.toml itself. */
import { fileSteps, type Guide, type GuideRequest } from "../guide.ts";
import { hostsFiles, REFERRERS } from "../hosts-toml.ts";
import { CERTIFICATES } from "./containerd.ts";

export function nerdctl(request: GuideRequest): Guide {
  const { files, notes } = hostsFiles(request, CERTIFICATES);
  return {
    title: "nerdctl",
    steps: [
      ...fileSteps(
        files,
        "Configure the mirror. The file is read on every pull, so nothing has to be restarted.",
      ),
      { text: "Pull as usual.", command: "nerdctl pull alpine:latest" },
    ],
    notes: [
      ...notes,
      REFERRERS,
      "Rootless nerdctl reads `~/.config/containerd/certs.d` instead. `hosts_dir` in nerdctl.toml or `--hosts-dir` sets another folder.",
    ],
  };
}
