/** Which mirrored content a push may take over: what the client could pull as anyone could, and is stored. */
import type { Caller } from "./access/gate.ts";
import type { Digest } from "./oci/digest.ts";
import { RegistryError } from "./oci/errors.ts";
import type { ClientInfo } from "./pull/client-error.ts";
import { identityFor } from "./pull/identity.ts";
import type { WaitUntil } from "./registry/wait-until.ts";
import { route } from "./route.ts";
import type { Services } from "./services.ts";
import { findContent } from "./store/content.ts";

/** A stored object, and its bytes. */
export interface MountSource {
  key: string;
  size: number;
}

/** Whose request it is. A login is for an upstream's own host alone, so it counts for nothing here. */
export interface MountRequest {
  key: Caller["key"];
  clientInfo: ClientInfo;
  waitUntil: WaitUntil;
}

/**
 * Finds a blob of a mirrored repository as the source of a mount. Private content is none, also for a client that may pull it:
 * in a hosted repository, upstream would no longer decide who may read it.
 * @param from the repository as a client of the mirror's own host names it: `docker.io/library/alpine`.
 * @returns null for what isn't stored, isn't public, or isn't the caller's to pull.
 */
export async function findMirrored(
  services: Pick<Services, "config" | "gate" | "store" | "tags" | "upstream">,
  { key, clientInfo, waitUntil }: MountRequest,
  from: string,
  digest: Digest,
): Promise<MountSource | null> {
  const { config, gate, store } = services;
  const caller: Caller = { key, login: null };
  try {
    const routed = route(new URL(`http://localhost/v2/${from}/blobs/${digest}`), config);
    if (routed.kind !== "target") return null;
    const { upstream, repository } = routed.target;
    gate.admit(caller, `${upstream.name}/${repository}`);
    const identity = await identityFor(services, caller, routed.target, clientInfo, waitUntil);
    if (identity.kind !== "anonymous") return null;
    const scope = { upstream: upstream.name, repository, visibility: "public" as const };
    return await findContent(store, { kind: "blobs", digest, scope }, async (key) => {
      const head = await store.head(key);
      return head && { key, size: head.size };
    });
  } catch (error) {
    if (error instanceof RegistryError) return null;
    throw error;
  }
}
