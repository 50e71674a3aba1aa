/** Sonatype Nexus with a docker (proxy) repository for each upstream, fed by this mirror. */
import { chooseShape, endpoint, hostLabel, moreNotes, upstreamsOf } from "../addresses.ts";
import { loopbackNotes } from "../containers.ts";
import { type Guide, type GuideRequest, json, type Step } from "../guide.ts";
import { USER } from "../key.ts";

export function nexus(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["prefix", "host"]);
  return {
    title: "Nexus proxying from the mirror",
    steps: upstreamsOf(request).flatMap((upstream) =>
      repository(upstream, endpoint(request, upstream, shape), request.key),
    ),
    notes: [
      ...notes,
      ...moreNotes(request),
      "In Nexus's web interface instead: Repositories, Create repository, docker (proxy), with the URL as Remote storage and Use proxy registry as Docker index.",
      "A docker (group) repository combines several of them at one address. Clients need a connector: a port, a subdomain or path-based routing.",
      ...loopbackNotes(request),
    ],
  };
}

function repository(upstream: string, remoteUrl: string, key: string | null): Step[] {
  const name = `portolan-${hostLabel(upstream)}`;
  const authentication =
    key === null
      ? {}
      : { authentication: { type: "username", username: USER, password: key, preemptive: true } };
  const file = json(`${name}.json`, {
    name,
    online: true,
    storage: { blobStoreName: "default", strictContentTypeValidation: true },
    // Minutes. The mirror itself confirms tags; older than this Nexus asks it again.
    proxy: { remoteUrl, contentMaxAge: -1, metadataMaxAge: 5 },
    negativeCache: { enabled: true, timeToLive: 5 },
    httpClient: { blocked: false, autoBlock: false, ...authentication },
    docker: { v1Enabled: false, forceBasicAuth: false },
    dockerProxy: { indexType: "REGISTRY" },
  });
  return [
    { text: `A repository for ${upstream}.`, file },
    {
      text: "Make it.",
      command: `curl --fail --user admin --header 'Content-Type: application/json' --data @${file.path} https://nexus.example.com/service/rest/v1/repositories/docker/proxy`,
    },
  ];
}
