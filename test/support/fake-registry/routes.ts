/** Routes: which request requests what. Every handler only plans, so that faults can step in before the response. */
import type { IRequest } from "itty-router";
import { Router } from "itty-router";
import { ociError } from "./answers.ts";
import type { Content } from "./content.ts";
import type { Listings } from "./listings.ts";
import type { Objects } from "./objects.ts";
import type { RegistrySettings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import type { Tokens } from "./tokens.ts";

export type RequestKind = "ping" | "manifest" | "blob" | "tags" | "referrers" | "token" | "storage" | "other";

/** A request on its way through the fake. Not the Request itself: the router writes params onto what it is given. */
export type Exchange = {
  method: string;
  url: string;
  request: Request;
  host: string;
  /** Called with the number of body bytes that have left. */
  onSlice: (size: number) => void;
};

export type Plan = {
  kind: RequestKind;
  repository: string | null;
  /** The refusal, or null when the request may pass. */
  authorize: () => Response | null;
  response: () => Response | Promise<Response>;
};

type Parts = {
  settings: RegistrySettings;
  content: Content;
  tokens: Tokens;
  objects: Objects;
  listings: Listings;
  storage: Storage;
};
type Asked = Exchange & Pick<IRequest, "params">;

/** Resolves a request to what it requests; undefined for another host than the registry's. */
export function createRoutes(parts: Parts): (exchange: Exchange) => Promise<Plan | undefined> {
  const { settings, tokens, objects, listings, storage } = parts;
  const router = Router<Asked, []>();

  const open = (kind: RequestKind, repository: string | null, response: Plan["response"]): Plan => ({
    kind,
    repository,
    authorize: () => null,
    response,
  });
  const guarded = (
    requested: Exchange,
    kind: RequestKind,
    repository: string | null,
    response: Plan["response"],
  ): Plan => ({
    kind,
    repository,
    authorize: () => tokens.authorize(requested.request, repository),
    response,
  });

  const on = (
    methods: readonly ("get" | "head" | "post" | "all")[],
    path: string,
    host: () => string,
    plan: (requested: Asked) => Plan | undefined,
  ) => {
    for (const method of methods) {
      router[method](path, (requested: Asked) => (requested.host === host() ? plan(requested) : undefined));
    }
  };
  const read = ["get", "head"] as const;
  const registry = () => settings.registryHost;
  const relativeStorage = "/artifacts-downloads";

  // First of all: a token endpoint may lie below /v2/, as quay.io's and gcr.io's do.
  on(
    ["get", "post"],
    "*",
    () => settings.tokenHost,
    (requested) =>
      new URL(requested.url).pathname === settings.tokenPath
        ? open("token", null, () => tokens.response(requested.request))
        : undefined,
  );

  on(read, "/v2", registry, (requested) =>
    guarded(
      requested,
      "ping",
      null,
      () => new Response("{}", { headers: { "content-type": "application/json" } }),
    ),
  );
  // The name is matched greedily, hence from the right: it may itself contain "manifests" or "blobs".
  on(read, "/v2/:name+/manifests/:reference", registry, (requested) => {
    const name = param(requested, "name");
    return guarded(requested, "manifest", name, () =>
      objects.manifest(requested, name, param(requested, "reference")),
    );
  });
  on(read, "/v2/:name+/blobs/:digest", registry, (requested) => {
    const name = param(requested, "name");
    return guarded(requested, "blob", name, () => objects.blob(requested, name, param(requested, "digest")));
  });
  on(read, "/v2/:name+/tags/list", registry, (requested) => {
    const name = param(requested, "name");
    return guarded(requested, "tags", name, () => listings.tags(requested.url, name));
  });
  on(read, "/v2/:name+/referrers/:digest", registry, (requested) => {
    const name = param(requested, "name");
    return guarded(requested, "referrers", name, () =>
      listings.referrers(requested.url, name, param(requested, "digest")),
    );
  });

  const places = [
    { host: () => settings.storageHost, prefix: "" },
    { host: registry, prefix: relativeStorage },
  ];
  for (const { host, prefix } of places) {
    on(read, `${prefix}/blobs/:digest`, host, (requested) =>
      open("storage", null, () => storage.blob(requested, param(requested, "digest"))),
    );
    on(read, `${prefix}/manifests/:name+/:reference`, host, (requested) => {
      const name = param(requested, "name");
      return open("storage", name, () => storage.manifest(requested, name, param(requested, "reference")));
    });
  }

  on(["all"], "*", registry, (requested) =>
    open("other", null, () =>
      requested.method === "GET" || requested.method === "HEAD"
        ? ociError(404, "NAME_UNKNOWN", "no such endpoint")
        : ociError(405, "UNSUPPORTED", "only GET and HEAD"),
    ),
  );
  for (const host of [() => settings.tokenHost, () => settings.storageHost]) {
    on(["all"], "*", host, () => open("other", null, () => new Response("not found", { status: 404 })));
  }

  return async (exchange) => {
    const plan: Plan | undefined = await router.fetch({ ...exchange });
    return plan;
  };
}

function param(requested: Asked, name: string): string {
  const value = requested.params[name] ?? "";
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
