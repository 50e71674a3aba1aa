/** What is known of a fill once its blob is stored. */
import type { Digest } from "../oci/digest.ts";

export interface StoredFill {
  upstream: string;
  /** As the upstream knows it. */
  repository: string;
  digest: Digest;
  /** Bytes of the whole blob. */
  bytes: number;
  /** Milliseconds from upstream's response until the blob was stored. */
  ms: number;
}
