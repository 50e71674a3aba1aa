/** Bounds on what a request may weigh, and whether it can be read at all: checked before any of it is looked into. */
import { RegistryError } from "../oci/errors.ts";
import { LOOP } from "../registry/failure.ts";
import { isLoop } from "../registry/via.ts";

/** Characters of the longest path and query: a name of 255, a sha512 digest, and a registry's own paging cursor. */
const MAXIMUM_URL = 4096;
/** Bytes of all header names and values together. */
const MAXIMUM_HEADERS = 16 * 1024;
/** Bytes of the largest body that is read: a token request's form. */
export const MAXIMUM_FORM = 8 * 1024;

/** @throws RegistryError 400, 414 or 431 */
export function checkBounds({ url, headers }: Request): void {
  // The runtime takes it from Host to the letter, of which a client may send two, or an address with a zone.
  if (!URL.canParse(url)) throw new RegistryError(400, "UNSUPPORTED", "the request's Host is no host name");
  if (url.length - url.indexOf("/", "https://".length) > MAXIMUM_URL) {
    throw new RegistryError(414, "UNSUPPORTED", `the request's URL has more than ${MAXIMUM_URL} characters`);
  }
  let size = 0;
  for (const [name, value] of headers) size += name.length + value.length;
  if (size > MAXIMUM_HEADERS) {
    throw new RegistryError(
      431,
      "UNSUPPORTED",
      `the request's headers have more than ${MAXIMUM_HEADERS} bytes`,
    );
  }
}

/** @throws RegistryError 508 for what an upstream of this mirror has sent back to it. */
export function checkLoop({ headers }: Request, own: string): void {
  if (!isLoop(headers.get("Via") ?? "", own)) return;
  throw new RegistryError(LOOP, "UNAVAILABLE", "the request goes round in circles between mirrors");
}
