/** Routes: which request asks for what. Every handler only plans, so that faults can step in before the answer. */
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
  /** Told how many bytes of a body have left. */
  onSlice: (size: number) => void;
};

export type Plan = {
  kind: RequestKind;
  repository: string | null;
  /** The refusal, or null when the request may pass. */
  authorize: () => Response | null;
  answer: () => Response | Promise<Response>;
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

/** Resolves a request to what it asks for; undefined when none of the registry's hosts is meant. */
export function createRoutes(parts: Parts): (exchange: Exchange) => Promise<Plan | undefined> {
  const { settings, tokens, objects, listings, storage } = parts;
  const router = Router<Asked, []>();

  const open = (kind: RequestKind, repository: string | null, answer: Plan["answer"]): Plan => ({
    kind,
    repository,
    authorize: () => null,
    answer,
  });
  const guarded = (
    asked: Exchange,
    kind: RequestKind,
    repository: string | null,
    answer: Plan["answer"],
  ): Plan => ({ kind, repository, authorize: () => tokens.authorize(asked.request, repository), answer });

  const on = (
    methods: readonly ("get" | "head" | "post" | "all")[],
    path: string,
    host: () => string,
    plan: (asked: Asked) => Plan | undefined,
  ) => {
    for (const method of methods) {
      router[method](path, (asked: Asked) => (asked.host === host() ? plan(asked) : undefined));
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
    (asked) =>
      new URL(asked.url).pathname === settings.tokenPath
        ? open("token", null, () => tokens.answer(asked.request))
        : undefined,
  );

  on(read, "/v2", registry, (asked) =>
    guarded(
      asked,
      "ping",
      null,
      () => new Response("{}", { headers: { "content-type": "application/json" } }),
    ),
  );
  // The name is matched greedily, hence from the right: it may itself contain "manifests" or "blobs".
  on(read, "/v2/:name+/manifests/:reference", registry, (asked) => {
    const name = param(asked, "name");
    return guarded(asked, "manifest", name, () => objects.manifest(asked, name, param(asked, "reference")));
  });
  on(read, "/v2/:name+/blobs/:digest", registry, (asked) => {
    const name = param(asked, "name");
    return guarded(asked, "blob", name, () => objects.blob(asked, name, param(asked, "digest")));
  });
  on(read, "/v2/:name+/tags/list", registry, (asked) => {
    const name = param(asked, "name");
    return guarded(asked, "tags", name, () => listings.tags(asked.url, name));
  });
  on(read, "/v2/:name+/referrers/:digest", registry, (asked) => {
    const name = param(asked, "name");
    return guarded(asked, "referrers", name, () =>
      listings.referrers(asked.url, name, param(asked, "digest")),
    );
  });

  const places = [
    { host: () => settings.storageHost, prefix: "" },
    { host: registry, prefix: relativeStorage },
  ];
  for (const { host, prefix } of places) {
    on(read, `${prefix}/blobs/:digest`, host, (asked) =>
      open("storage", null, () => storage.blob(asked, param(asked, "digest"))),
    );
    on(read, `${prefix}/manifests/:name+/:reference`, host, (asked) => {
      const name = param(asked, "name");
      return open("storage", name, () => storage.manifest(asked, name, param(asked, "reference")));
    });
  }

  on(["all"], "*", registry, (asked) =>
    open("other", null, () =>
      asked.method === "GET" || asked.method === "HEAD"
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

function param(asked: Asked, name: string): string {
  const value = asked.params[name] ?? "";
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
