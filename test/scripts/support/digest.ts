/** Digests that tests know to be some. */
import { type Digest, parseDigest } from "../../../src/oci/digest.ts";

export function digest(text = ""): Digest {
  const parsed = parseDigest(text);
  if (!parsed) throw new Error(`no digest: ${text}`);
  return parsed;
}
