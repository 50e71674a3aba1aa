/** kaniko: options of its executor. */
import { hyphenated } from "../../config.ts";
import {
  authority,
  chooseShape,
  endpoint,
  isFamilyMember,
  isPlainHttp,
  moreNotes,
  upstreamsOf,
} from "../addresses.ts";
import type { Guide, GuideRequest, Step } from "../guide.ts";
import { authFile } from "../login.ts";

/** What kaniko calls docker.io; `docker.io=` in a map never matches. */
const HUB = "index.docker.io";

export function kaniko(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["host", "path"]);
  const requested = upstreamsOf(request);
  const unreachable = shape === "path" ? requested.filter(isFamilyMember) : [];
  const upstreams = requested.filter((upstream) => !unreachable.includes(upstream));
  const options = upstreams.map((upstream) => {
    const name = upstream === "docker.io" ? HUB : upstream;
    const place =
      shape === "host"
        ? new URL(endpoint(request, upstream, shape)).host
        : `${authority(request)}/${hyphenated(upstream)}`;
    return { map: `--registry-map=${name}=${place}`, host: place.split("/")[0] ?? place };
  });
  const hosts = [...new Set(options.map(({ host }) => host))];
  const insecure = isPlainHttp(request) ? hosts.map((host) => `--insecure-registry=${host}`) : [];
  const lines = [
    "/kaniko/executor",
    ...options.map(({ map }) => map),
    ...insecure,
    "--context=dir:///workspace --no-push",
  ];
  return {
    title: "kaniko",
    steps: [
      ...login(hosts, request.key),
      { text: "Map each registry to its mirror.", command: lines.join(" \\\n  ") },
    ],
    notes: [
      ...notes,
      ...moreNotes(request),
      ...(shape === "path"
        ? [
            "kaniko accepts only paths whose first component has no dot, so upstreams are written with hyphens.",
          ]
        : []),
      ...unreachable.map(
        (upstream) =>
          `${upstream} has no name with hyphens; to map it too, give the mirror a DOMAIN (\`--domain\`).`,
      ),
      `kaniko's name for docker.io is \`${HUB}\`. When the mirror fails, kaniko falls back to the registry itself; \`--skip-default-registry-fallback\` prevents that.`,
    ],
  };
}

function login(hosts: readonly string[], key: string | null): Step[] {
  if (key === null) return [];
  return [
    {
      text: "Mount the mirror's key as kaniko's credentials; in Kubernetes, use a secret of type `kubernetes.io/dockerconfigjson`.",
      file: authFile(hosts, key, "/kaniko/.docker/config.json"),
    },
  ];
}
