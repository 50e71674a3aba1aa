/** Whatever pulls images: the mirror's name put before the image's. */
import {
  authority,
  isOnThisMachine,
  isPlainHttp,
  moreNotes,
  referencePrefix,
  upstreamsOf,
} from "../addresses.ts";
import type { Guide, GuideRequest } from "../guide.ts";
import { loginSteps } from "../login.ts";

export function reference(request: GuideRequest): Guide {
  const rewritten = upstreamsOf(request).map((upstream) => {
    const [from, to] =
      upstream === "docker.io"
        ? ["alpine:latest", `${referencePrefix(request, upstream)}/library/alpine:latest`]
        : [`${upstream}/OWNER/IMAGE:TAG`, `${referencePrefix(request, upstream)}/OWNER/IMAGE:TAG`];
    return `docker pull ${to} # for ${from}`;
  });
  const [upstream = "docker.io"] = upstreamsOf(request);
  return {
    title: "The rewritten reference",
    steps: [
      ...loginSteps(request, "docker"),
      { text: "Put the mirror and the registry before the image's name.", command: rewritten.join("\n") },
      {
        text: "The same in a Dockerfile, a Compose file, a Kubernetes manifest or a Helm value: wherever an image's name is written. Other tools:",
        command: [
          `crane digest ${referencePrefix(request, upstream)}/OWNER/IMAGE:TAG`,
          `helm pull oci://${referencePrefix(request, "ghcr.io")}/OWNER/CHART`,
          `oras pull ${referencePrefix(request, "ghcr.io")}/OWNER/ARTIFACT:TAG`,
        ].join("\n"),
      },
    ],
    notes: [
      ...moreNotes(request),
      "When the mirror fails, there is no fallback to the registry, and the image keeps the mirror's name on the client.",
      "Official images on docker.io don't need `library/`.",
      ...(isPlainHttp(request) && !isOnThisMachine(request)
        ? [
            `The mirror has no TLS: Docker needs \`"insecure-registries": ["${authority(request)}"]\` in daemon.json, podman \`insecure = true\`, crane \`--insecure\`, helm and oras \`--plain-http\`.`,
          ]
        : []),
    ],
  };
}
