/** The resource that a request names, and the upstream that has it. */
import type { Digest } from "../oci/digest.ts";
import type { Upstream } from "../upstream/registries.ts";

export type Resource =
  | { kind: "manifest"; reference: { tag: string } | { digest: Digest } }
  | { kind: "blob"; digest: Digest }
  | { kind: "tags" }
  | { kind: "referrers"; digest: Digest };

export interface Target {
  upstream: Upstream;
  /** As the upstream knows it: with `library/` where Docker Hub wants it. */
  repository: string;
  resource: Resource;
  /** The day (UTC) whose tags are meant: `2026-11-01`; null for those of today. */
  day: string | null;
  /** Path under which this client finds the repository on this mirror, for Link headers: `/v2/ghcr.io/owner/image`. */
  path: string;
  /** The `ns` query parameter where it decided on the upstream (answered as OCI-Namespace), else null. */
  namespace: string | null;
}
