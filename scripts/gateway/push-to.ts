/** The URL of `--push-to`. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { normalMirrorUrl } from "../registry/mirror-url.ts";

const FORM = "--push-to must be the URL of a mirror, such as https://mirror.example.com";
const HTTP =
  "--push-to would send the key and the images without encryption: it must be https:// for another machine";

/** Where a mirror has hosted repositories unless its HOSTED_PATH says otherwise. */
const HOSTED_PATH = "hosted";

/**
 * @returns the mirror, and the name under which it has hosted repositories.
 * @throws Error for a URL that can't be one, or would give the key away.
 */
export function parsePushTo(text: string): { origin: URL; path: string } {
  const normal = normalMirrorUrl(text);
  const url = normal === null ? null : new URL(normal);
  const path = url?.pathname.replaceAll(/^\/+|\/+$/g, "") ?? "";
  if (!url || !/^[a-z0-9._-]*$/.test(path)) throw new Error(FORM);
  if (url.protocol !== "https:" && !isLoopback(url)) throw new Error(HTTP);
  return { origin: new URL(url.origin), path: path || HOSTED_PATH };
}
