/** The forms of RELAYS and RELAY_KEYS. */
import * as v from "valibot";
import { list, onOff, parseJson, table } from "./config-values.ts";
import { isLoopback } from "./registry/addresses.ts";
import type { Relay } from "./upstream/relays.ts";

const URL_FORM = "must be the URL of a mirror, such as https://mirror.example.com";
const HTTP = "would receive its key without encryption: use https, or accept that with insecure = true";
const baseUrl = v.pipe(
  v.string(URL_FORM),
  v.check((text) => URL.canParse(text), URL_FORM),
  v.transform((text) => new URL(text)),
  v.check(
    ({ protocol, pathname, search, hash, username, password }) =>
      /^https?:$/.test(protocol) && pathname === "/" && `${search}${hash}${username}${password}` === "",
    URL_FORM,
  ),
);
const relay = v.pipe(
  v.strictObject(
    {
      url: baseUrl,
      upstreams: v.optional(list("must be a list of upstreams' names"), []),
      when: v.optional(v.picklist(["always", "limited"], "must be always or limited"), "limited"),
      private: v.optional(onOff, false),
      insecure: v.optional(onOff, false),
      binding: v.optional(v.string("must be the name of a binding")),
    },
    "can only have url, upstreams, when, private, insecure and binding",
  ),
  v.forward(
    v.check(
      ({ url, insecure, binding }) =>
        url.protocol === "https:" || insecure || binding !== undefined || isLoopback(url),
      HTTP,
    ),
    ["url"],
  ),
);

export const relayList = v.pipe(
  v.unknown(),
  v.transform((given) => (typeof given === "string" ? parseJson(given) : given)),
  v.array(relay, "must be a list of tables, or JSON of it"),
);

const SHAPE_OF_KEYS = 'must have the form {"mirror.example.com":"KEY"}';
/** By host. None of its messages may hold what it is about. */
export const relayKeys = v.pipe(
  table(SHAPE_OF_KEYS),
  v.record(v.string(), v.string(SHAPE_OF_KEYS), SHAPE_OF_KEYS),
);

/** @returns what is wrong with keys of relays that there aren't. */
export function relaysOf(
  given: v.InferOutput<typeof relayList>,
  keys: v.InferOutput<typeof relayKeys>,
): { relays: Relay[]; faults: string[] } {
  const relays = given.map(({ url, upstreams, when, private: isPrivate, binding = null }) => {
    return { url, upstreams, when, private: isPrivate, key: keys[url.host] ?? null, binding };
  });
  const isUnused = Object.keys(keys).some((host) => !relays.some(({ url }) => url.host === host));
  return { relays, faults: isUnused ? ["RELAY_KEYS: names a host that no relay has"] : [] };
}
