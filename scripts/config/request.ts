/** From what a person typed to a GuideRequest, or a complaint that says what would do. */
import { resolve } from "node:path";
import { readConfig } from "../../src/config.ts";
import { type GuideRequest, SHAPES, type Shape } from "../../src/guides/guide.ts";
import { readKey } from "../keys/read-key.ts";

export interface ConfigOptions {
  mirror: string;
  domain?: string;
  upstream?: readonly string[];
  keyFile?: string;
  shape?: string;
}

/**
 * @param cwd where the files that are named are looked for.
 * @throws Error in words for the user.
 */
export async function readRequest(options: ConfigOptions, cwd: string): Promise<GuideRequest> {
  const request: GuideRequest = {
    mirror: mirrorUrl(options.mirror),
    domain: options.domain === undefined ? null : domainName(options.domain),
    upstreams: options.upstream === undefined ? null : [...new Set(options.upstream.map(upstreamName))],
    key: options.keyFile === undefined ? null : await readKey(resolve(cwd, options.keyFile)),
    shape: options.shape === undefined ? null : shapeName(options.shape),
  };
  if (request.shape === "host" && request.domain === null) {
    throw new Error("--shape host needs --domain, the mirror's DOMAIN.");
  }
  return request;
}

function mirrorUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new Error(`--mirror must be a URL such as https://mirror.example.com, not ${text}.`);
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw new Error(`--mirror takes no path; name the mirror itself: ${url.origin}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new Error("--mirror takes no user name or password; give the key by --key-file.");
  }
  return url;
}

function domainName(text: string): string {
  if (URL.parse(`https://${text}`)?.hostname !== text || !text.includes(".")) {
    throw new Error(`--domain must be a lower-case host name such as example.com, not ${text}.`);
  }
  return text;
}

/** Built-in upstreams go by their own name, whatever name was given; others by the one given. */
function upstreamName(text: string): string {
  const known = readConfig({});
  const found = known.upstream(text) ?? known.upstreamByLabel(text);
  if (found !== null) return found.name;
  if (URL.parse(`https://${text}`)?.host === text && text.includes(".")) return text;
  throw new Error(
    `--upstream: there is no upstream ${text}. Built in are ${known.upstreamNames.join(", ")}; one that your mirror has besides is named by its host.`,
  );
}

function shapeName(text: string): Shape {
  const found = SHAPES.find((shape) => shape === text);
  if (found === undefined) throw new Error(`--shape must be one of ${SHAPES.join(", ")}, not ${text}.`);
  return found;
}
