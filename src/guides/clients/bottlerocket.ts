/** Bottlerocket: settings in a node's user data. */
import { chooseShape, endpoint, namesOrAll } from "../addresses.ts";
import { type Guide, type GuideRequest, toml } from "../guide.ts";
import { USER } from "../key.ts";

export function bottlerocket(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["ns", "path", "host"]);
  const names = namesOrAll(request, shape);
  const mirrors = names.map((registry) => ({ registry, endpoint: [endpoint(request, registry, shape)] }));
  const hosts = [...new Set(mirrors.flatMap((each) => each.endpoint.map((url) => new URL(url).host)))];
  const { key } = request;
  const credentials = hosts.map((registry) => ({ registry, username: USER, password: key }));
  return {
    title: "Bottlerocket",
    steps: [
      {
        text: "Add this to the nodes' user data.",
        file: toml("user-data.toml", {
          settings: { "container-registry": { mirrors, ...(key === null ? {} : { credentials }) } },
        }),
      },
      {
        text: "On a running node, from its control container:",
        command: `apiclient set --json '${JSON.stringify({ "container-registry": { mirrors } })}'`,
      },
    ],
    notes: [
      ...notes,
      "When the mirror fails, nodes fall back to the registry itself.",
      ...(key === null
        ? []
        : [
            "Anyone who may describe the instance can read its user data; Bottlerocket recommends setting credentials with `apiclient` from a bootstrap container.",
          ]),
    ],
  };
}
