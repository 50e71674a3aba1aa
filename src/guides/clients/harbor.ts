/** Harbor with a proxy cache project for each upstream, fed by this mirror. */
import { chooseShape, endpoint, hostLabel, moreNotes, upstreamsOf } from "../addresses.ts";
import { loopbackNotes } from "../containers.ts";
import { type Guide, type GuideRequest, json, type Step } from "../guide.ts";
import { USER } from "../key.ts";

export function harbor(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["prefix", "host"]);
  return {
    title: "Harbor proxying from the mirror",
    steps: [
      ...upstreamsOf(request).flatMap((upstream) =>
        project(upstream, endpoint(request, upstream, shape), request.key),
      ),
      {
        text: "Pull through Harbor, with the project's name in the reference.",
        command: "docker pull harbor.example.com/docker/library/alpine:latest",
      },
    ],
    notes: [
      ...notes,
      ...moreNotes(request),
      "In Harbor's web interface instead: Administration, Registries, New Endpoint, provider Docker Registry; then Projects, New Project, Proxy Cache, with that endpoint.",
      "The provider is Docker Registry for docker.io too, so official images need `library/` in their names.",
      ...loopbackNotes(request),
    ],
  };
}

function project(upstream: string, url: string, key: string | null): Step[] {
  const name = hostLabel(upstream);
  const credential =
    key === null ? {} : { credential: { type: "basic", access_key: USER, access_secret: key } };
  const registry = json(`portolan-registry-${name}.json`, {
    name: `portolan-${name}`,
    type: "docker-registry",
    url,
    insecure: false,
    ...credential,
  });
  const call = "curl --fail --user admin --header 'Content-Type: application/json'";
  const api = "https://harbor.example.com/api/v2.0";
  return [
    { text: `An endpoint for ${upstream}.`, file: registry },
    {
      text: `Create it, look up its id, and create a project named \`${name}\` for it.`,
      command: [
        `${call} --data @${registry.path} ${api}/registries`,
        `id=$(curl --fail --silent --user admin '${api}/registries?q=name%3Dportolan-${name}' | jq '.[0].id')`,
        `${call} --data '{"project_name":"${name}","registry_id":'"$id"',"metadata":{"public":"true"}}' ${api}/projects`,
      ].join("\n"),
    },
  ];
}
