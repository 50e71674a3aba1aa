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
        text: `Pull through the mirror's name; \`${MODEL}\` is an example.`,
        command: `ollama pull ${pulled}`,
      },
      {
        text: "Give the model its short name, which other programs use. No data is copied.",
        command: `ollama cp ${name} ${MODEL}`,
      },
      { text: "Run it.", command: `ollama run ${MODEL}` },
    ],
    notes: [
      byHost
        ? `A user's model keeps its user: \`ollama pull ${plain ? "--insecure " : ""}${host}/USER/MODEL\`.`
        : "This works only for models in Ollama's own library: the name of a user's model would have one component more than Ollama accepts. With a DOMAIN (`--domain`), the mirror has a host name for Ollama's registry, and users' models can be pulled too.",
      "Ollama has no mirror setting, so `ollama run` alone fetches a missing model from Ollama's own registry.",
      ...(key === null
        ? []
        : [
            "Ollama sends no login, so the key is part of the host name, and of the model's name until you copy the model and remove the original (`ollama rm`).",
          ]),
    ],
  };
}

function withoutWay(): Guide {
  return {
    title: "Ollama",
    steps: [
      {
        text: "Ollama sends no login and accepts no path, so a key can only be part of the mirror's host name: give the mirror a DOMAIN, and pass `--domain` to this guide.",
      },
    ],
    notes: [],
  };
}
