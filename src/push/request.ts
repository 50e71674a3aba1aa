/** One request for a hosted repository, made once in `handler.ts`. */
import type { Digest } from "../oci/digest.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { HostedTarget } from "./target.ts";

export interface HostedRequest {
  method: string;
  headers: Headers;
  body: ReadableStream<Uint8Array> | null;
  search: URLSearchParams;
  target: HostedTarget;
  /** Host, and port where it isn't the scheme's, by which the client reached the mirror. */
  host: string;
  /** What stands before this client's paths here, for Location and Link. */
  prefix: string;
  /** Whether the client may read a repository, as the source of a mount. */
  mayRead: (repository: string) => boolean;
  /** A stored blob of a mirrored repository that the client may read, as the source of a mount. */
  findMirrored: (repository: string, digest: Digest) => Promise<{ key: string; size: number } | null>;
  /** @throws RegistryError 403 for a digest that the operator has recalled. */
  refuseRecalled: (digest: Digest) => void;
  /** For what goes on if the client leaves. */
  waitUntil: WaitUntil;
}
