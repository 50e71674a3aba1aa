/** Relays: other mirrors of the operator's own, which are requested instead of the registry, or when it limits requests or fails. */
import type { Registry } from "../registry/registry.ts";

export interface Relay {
  /** The mirror's base URL. */
  url: URL;
  /** Names of the upstreams that are requested through it; empty for all. */
  upstreams: readonly string[];
  /** `always`: the registry itself is requested only if the relay fails. `limited`: the other way round. */
  when: "always" | "limited";
  /** Whether private content is requested through it too: its operator must be trusted with that. */
  private: boolean;
  /** An access key of the mirror; null for an open one. */
  key: string | null;
  /** The Worker's binding that reaches it; null where it is reached by its URL. */
  binding: string | null;
}

/**
 * A relay request that must be given nothing but what an anonymous client may have, although it carries a key: its response
 * is served to every client.
 */
export const IDENTITY_HEADER = "Portolan-Identity";

/**
 * The relays that a request may be sent to. A user's own login is sent to none.
 * @param identity on whose behalf it is.
 */
export function relaysFor(
  relays: readonly Relay[],
  { name }: Pick<Registry, "name">,
  identity: "anonymous" | "operator" | "user",
): readonly Relay[] {
  return relays.filter(
    ({ upstreams, private: isTrusted }) =>
      (upstreams.length === 0 || upstreams.includes(name)) &&
      (identity === "anonymous" || (identity === "operator" && isTrusted)),
  );
}

/** A relay as the registry that it stands for: its key goes nowhere else. */
export function asRegistry({ url }: Relay, { name }: Pick<Registry, "name">): Registry {
  return { name, endpoints: [url], realms: [] };
}

/** Where a relay has an upstream's repositories. */
export function endpointAt({ url }: Relay, { name }: Pick<Registry, "name">): URL {
  return new URL(`/${name}`, url);
}
