/** Ollama, whose names have exactly three parts: host, namespace, model. */

import { hyphenated } from "../../config.ts";
import { authority, endpoint, isPlainHttp, keyedHostEndpoint } from "../addresses.ts";
import type { Guide, GuideRequest } from "../guide.ts";

const OLLAMA = "registry.ollama.ai";
const MODEL = "llama3.2:1b";

export function ollama(request: GuideRequest): Guide {
  const { domain, key, mirror } = request;
  if (key !== null && domain === null) return withoutWay();
  const byHost = domain !== null && (key !== null || request.shape !== "path");
  const host = byHost
    ? new URL(
        key === null ? endpoint(request, OLLAMA, "host") : keyedHostEndpoint(mirror, OLLAMA, domain, key),
      ).host
    : authority(request);
  const name = `${host}/${byHost ? "library" : hyphenated(OLLAMA)}/${MODEL}`;
  const plain = isPlainHttp(request);
  const pulled = plain ? `--insecure ${name}` : name;
  return {
    title: "Ollama",
    steps: [
      {
        text: `Pull by the mirror's name, here for \`${MODEL}\`.`,
        command: `ollama pull ${pulled}`,
      },
      {
        text: "Give the model its short name, by which other programs ask for it. No data is copied.",
        command: `ollama cp ${name} ${MODEL}`,
      },
      { text: "Run it.", command: `ollama run ${MODEL}` },
    ],
    notes: [
      byHost
        ? `A user's model keeps its user: \`ollama pull ${plain ? "--insecure " : ""}${host}/USER/MODEL\`.`
        : "Only models of Ollama's own library can be named so: a user's model has a part more than Ollama takes. With a DOMAIN (`--domain`) the mirror has a host name for Ollama's registry, and those can be pulled too.",
      "Ollama has no setting for a mirror, so `ollama run` alone asks Ollama's own registry for a model that isn't there yet.",
      ...(key === null
        ? []
        : [
            "Ollama sends no login, so the key is part of the host's name, and of the model's until it is copied and removed (`ollama rm`).",
          ]),
    ],
  };
}

function withoutWay(): Guide {
  return {
    title: "Ollama",
    steps: [
      {
        text: "Ollama sends no login and takes no path, so a key can only be carried in the mirror's host name: give the mirror a DOMAIN and this guide `--domain`.",
      },
    ],
    notes: [],
  };
}
