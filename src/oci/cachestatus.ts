// Cache-Status: every response says where it came from, so that an operator can tell a hit from a pull on the quota.

export interface CacheStatus {
  servedBy: "memory" | "edge" | "store" | "upstream" | "stale" | "quorum";
  /** Why upstream had to be requested; absent when it wasn't. */
  forward?: "uri-miss" | "stale" | "bypass" | "partial" | "miss";
  /** The status upstream answered with. */
  forwardStatus?: number;
  /** Whether the response was put into the store. */
  stored?: boolean;
  /** Whether the request waited for another one's response from upstream. */
  collapsed?: boolean;
}

/**
 * Writes a Cache-Status member. `hit` means that upstream was not requested, so it never stands beside `fwd`, and what only
 * describes a forwarded request (`fwd-status`, `stored`, `collapsed`) never stands beside `hit`. Content from upstream
 * without a stated reason is a `miss`.
 * Source: RFC 9211 §2.
 */
export function formatCacheStatus(status: CacheStatus): string {
  const forward = status.forward ?? (status.servedBy === "upstream" ? "miss" : null);
  const parameters = forward === null ? ["hit"] : [`fwd=${forward}`, ...forwardParameters(status)];
  return ["Portolan", ...parameters, `detail=${status.servedBy}`].join("; ");
}

function forwardParameters({ forwardStatus, stored, collapsed }: CacheStatus): string[] {
  const parameters: string[] = [];
  if (forwardStatus !== undefined) parameters.push(`fwd-status=${forwardStatus}`);
  if (stored) parameters.push("stored");
  if (collapsed) parameters.push("collapsed");
  return parameters;
}
