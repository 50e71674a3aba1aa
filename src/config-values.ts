/** The forms of single values in the configuration: host names, times, sizes, lists, and the table of upstreams. */
import * as v from "valibot";
import { isRepository } from "./oci/names.ts";
import { PROXY_FORM, parseProxy } from "./registry/proxies.ts";

const HOST = "must be a lower-case host name";
export const domainName = v.pipe(
  v.string(HOST),
  v.check((name) => URL.parse(`https://${name}`)?.hostname === name && /^[^*].*[^.]$/.test(name), HOST),
);
/** An upstream's name may stand for a family of hosts: `*.pkg.dev`. */
const hostName = v.pipe(
  v.string(HOST),
  v.check((name) => v.is(domainName, name.replace(/^\*\./, "")), HOST),
);
export const seconds = v.pipe(
  v.union(
    [v.number(), v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number))],
    "must be a whole number of seconds",
  ),
  v.integer("must be a whole number of seconds"),
  v.minValue(0, "must not be negative"),
);
export const onOff = v.pipe(
  v.union([v.boolean(), v.picklist(["true", "false"])], "must be true or false"),
  v.transform((given) => String(given) === "true"),
);
const LABEL = "must be a word of lower-case letters, digits and hyphens";
export const label = v.pipe(v.string(LABEL), v.regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, LABEL));
const OWNER = "must be a name in one line of 80 characters at most";
export const ownerName = v.pipe(
  v.string(OWNER),
  v.maxLength(80, OWNER),
  v.regex(/^(?:(?=.*[\p{L}\p{N}])[^\p{C}\p{Zl}\p{Zp}]+)?$/u, OWNER),
);
const CONTACT = "must be a URL: mailto:ada@example.com, or https://…";
export const contact = v.pipe(
  v.string(CONTACT),
  v.regex(/^(?:mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/, CONTACT),
  v.check((text) => URL.canParse(text), CONTACT),
  v.transform((text) => new URL(text)),
);
const DOCS = "must be the https URL of a folder, such as https://example.com/docs/";
export const docsUrl = v.pipe(
  v.string(DOCS),
  v.regex(/^https:\/\/\S+$/, DOCS),
  v.check((text) => URL.canParse(text), DOCS),
  v.transform((text) => new URL(text.endsWith("/") ? text : `${text}/`)),
);
const UNITS = ["B", "kB", "MB", "GB", "TB"];
const SIZE = "must be a size such as 9.5 GB";
export const bytes = v.pipe(
  v.union([v.string(), v.number()], SIZE),
  v.transform((size) => /^(\d+(?:\.\d+)?) *([kMGT]?B)?$/.exec(String(size))),
  v.check((size) => size !== null, SIZE),
  v.transform((size) => Math.floor(Number(size?.[1]) * 1000 ** UNITS.indexOf(size?.[2] ?? "B"))),
);
const DURATION = "must be a time such as 12h, 30d or 4w";
const HOURS: Readonly<Record<string, number>> = { h: 1, d: 24, w: 7 * 24 };
/** Milliseconds. */
export const duration = v.pipe(
  v.string(DURATION),
  v.regex(/^[1-9]\d{0,5}[hdw]$/, DURATION),
  v.transform((text) => Number(text.slice(0, -1)) * (HOURS[text.slice(-1)] ?? 0) * 3_600_000),
);
export const endpoint = v.pipe(
  v.string(),
  v.check((text) => URL.canParse(text), "must be a URL"),
  v.transform((text) => new URL(text)),
  v.check(
    ({ protocol }) => ["https:", "http:"].includes(protocol),
    "must be https, or http with insecure = true",
  ),
  v.check((url) => url.username === "" && url.password === "", "must not carry a user name or password"),
  v.check((url) => url.search === "" && url.hash === "", "must not have a query or fragment"),
  v.check(
    ({ pathname }) => pathname === "/" || (isRepository(pathname.slice(1)) && !/^\/v2(\/|$)/.test(pathname)),
    "must have no path, or one that stands before a repository's name; /v2 is put before it",
  ),
);
const PROXY = `must be direct, or ${PROXY_FORM.replace(/^must be /, "")}`;
const SETTINGS = "can only have aliases, endpoints, insecure, realms, tagTtl, login and proxy";
const upstreamSettings = v.strictObject(
  {
    aliases: v.optional(v.array(domainName)),
    endpoints: v.optional(v.pipe(v.array(endpoint), v.minLength(1, "must name one endpoint at least"))),
    insecure: v.optional(onOff),
    realms: v.optional(
      v.array(
        v.pipe(
          v.string(),
          v.regex(/^[a-z0-9.-]+(:\d+)?$/, "must be a host, with its port if it has one"),
          // URLs are compared by their host, which leaves out the port that https has anyway.
          v.transform((realm) => realm.replace(/:443$/, "")),
        ),
      ),
    ),
    tagTtl: v.optional(seconds),
    login: v.optional(v.union([v.boolean(), v.literal("required")], "must be true, false or required")),
    proxy: v.optional(
      v.pipe(
        v.string(PROXY),
        v.check((text) => text === "direct" || parseProxy(text) !== null, PROXY),
      ),
    ),
  },
  SETTINGS,
);
/** An endpoint's URL alone doesn't say that its operator knows what plain http means. */
const consideredSettings = v.pipe(
  upstreamSettings,
  v.forward(
    v.check(
      ({ endpoints, insecure }) => insecure === true || unencrypted(endpoints).length === 0,
      ({ input: { endpoints } }) =>
        `${unencrypted(endpoints).join(", ")} would be reached without encryption: use https, or accept that with insecure = true (npm start -- --insecure NAME)`,
    ),
    ["endpoints"],
  ),
);

export const upstreamTable = v.pipe(
  table("must be a table or a JSON object"),
  v.record(hostName, consideredSettings),
);

function unencrypted(endpoints: readonly URL[] = []): string[] {
  return endpoints.filter(({ protocol }) => protocol === "http:").map(({ origin }) => origin);
}

/** A list in TOML, or text with commas. */
export const list = (message: string) =>
  v.pipe(
    v.union([v.array(v.string()), v.string()], message),
    v.transform((given) =>
      (typeof given === "string" ? given.split(",") : given).map((text) => text.trim()).filter(Boolean),
    ),
  );
/** A table given as such or as JSON. What it contains is checked later, and reported there. */
export function table(message: string) {
  return v.pipe(
    v.unknown(),
    v.transform((given) => (typeof given === "string" ? parseJson(given) : given)),
    v.custom<Record<string, unknown>>(
      (given) => typeof given === "object" && given !== null && !Array.isArray(given),
      message,
    ),
  );
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
