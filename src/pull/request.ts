/** One client request as the pull path sees it: made once in `handler.ts`; functions get nothing else of it. */
import type { CacheStatus } from "../oci/cachestatus.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { ClientInfo } from "./client-error.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { Target } from "./target.ts";

export interface PullRequest {
  method: "GET" | "HEAD";
  headers: Headers;
  /** Fires when the client leaves. */
  signal: AbortSignal;
  search: URLSearchParams;
  clientInfo: ClientInfo;
  /** What is requested, and of which upstream. */
  target: Target;
  /** The same repository by name, and on whose behalf upstream is requested. */
  access: RepositoryAccess;
  /** What stands before this client's paths here, for links that it is to follow. */
  prefix: string;
  waitUntil: WaitUntil;
  /** Where stored public blobs are cached in front of the store; absent where they aren't. */
  layers?: LayerCache | undefined;
  /** For the request log: where the response came from, once that is known. */
  details: { servedBy: CacheStatus["servedBy"] | null };
}
