/** What a request for a hosted repository names. */
import type { Digest } from "../oci/digest.ts";

export type HostedResource =
  | { kind: "blob"; digest: Digest }
  /** `id` is null where an upload is to be started. */
  | { kind: "upload"; id: string | null }
  | { kind: "manifest"; reference: Reference }
  | { kind: "tags" }
  | { kind: "referrers"; digest: Digest };

export type Reference = { tag: string } | { digest: Digest };

export interface HostedTarget {
  /** Without the name under which hosted repositories are found: `team/app`. */
  repository: string;
  resource: HostedResource;
  /** Path under which this client finds the repository, for Location and Link: `/v2/hosted/team/app`. */
  path: string;
}
