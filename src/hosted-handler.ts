/** One request for a hosted repository: admitted by what it does, then served by `push`. */
import type { Context } from "hono";
import type { Caller, HostedAction } from "./access/gate.ts";
import { findMirrored } from "./mount-source.ts";
import { neutralize } from "./oci/content-response.ts";
import { type Digest, parseDigest } from "./oci/digest.ts";
import { waitUntilOf } from "./pull/wait-until.ts";
import { forwardedRepositories, forwardHosted } from "./push/forward.ts";
import { serveHosted } from "./push/hosted.ts";
import { listRepositories } from "./push/listings.ts";
import type { HostedRequest } from "./push/request.ts";
import type { HostedTarget } from "./push/target.ts";
import { detailsOf } from "./request-log.ts";
import type { Routed } from "./route.ts";
import type { Services } from "./services.ts";

export interface HostedCall {
  caller: Caller;
  url: URL;
  prefix: string;
  routed: Extract<Routed, { kind: "hosted" | "catalog" }>;
}

/** Serves a request for a hosted repository. @throws RegistryError */
export async function handleHosted(services: Services, c: Context, call: HostedCall): Promise<Response> {
  const { config, gate, gateway } = services;
  const { caller, url, prefix, routed } = call;
  const { method } = c.req;
  const { path, isOpen } = config.hosted;
  const details = detailsOf(c);
  details.upstream = path;
  const nameOf = (repository: string) => `${path}/${repository}`;
  const mayRead = (repository: string) => gate.mayPull(caller, nameOf(repository));
  if (routed.kind === "catalog") {
    details.resource = "catalog";
    const request = { method, search: url.searchParams, path: `${prefix}${routed.path}`, mayRead };
    const records = gateway ? forwardedRepositories(gateway, c.req.raw.headers) : services.hostedRecords;
    return listRepositories(records, {
      ...request,
      nameOf: routed.isPrefixed ? nameOf : (name) => name,
    });
  }
  const { target } = routed;
  Object.assign(details, { repository: target.repository, resource: target.resource.kind });
  gate.admitHosted(caller, nameOf(target.repository), actionOf(method, target), isOpen);
  const { headers, body } = c.req.raw;
  const search = url.searchParams;
  const { host } = new URL(c.req.url);
  const waitUntil = waitUntilOf(c.executionCtx);
  const mounting = {
    key: caller.key,
    clientInfo: {
      userAgent: headers.get("User-Agent") ?? "",
      via: headers.get("Via") ?? "",
      hasNamespace: false,
    },
    waitUntil,
  };
  const request: HostedRequest = {
    ...{ method, headers, body, search, target, host, prefix, mayRead, waitUntil },
    findMirrored: (from, digest) => findMirrored(services, mounting, from, digest),
    refuseRecalled: (digest) => services.recalls.refuse(digest),
  };
  const readsAll = caller.key === null && config.access === "open";
  const serve = () =>
    gateway ? forwardHosted(gateway, request, { path, readsAll }) : serveHosted(services, request);
  // What is recalled can still be deleted.
  const isGuarded = method !== "DELETE";
  const response = await (isGuarded ? services.recalls.guard(digestsIn(request), serve) : serve());
  neutralize(response);
  return response;
}

/** The digests that a request's path and query name: what it reads, or brings into the repository. */
function digestsIn({ target: { resource }, search }: HostedRequest): Digest[] {
  const name = resource.kind === "manifest" ? resource.reference : resource;
  const named = "digest" in name ? [name.digest] : [];
  const brought = [search.get("digest"), search.get("mount")].map((text) => parseDigest(text ?? ""));
  return [...named, ...brought.filter((digest) => digest !== null)];
}

/** Cancelling an upload is part of pushing. */
function actionOf(method: string, { resource }: HostedTarget): HostedAction {
  if (resource.kind === "upload") return "push";
  if (method === "GET" || method === "HEAD") return "pull";
  return method === "DELETE" ? "delete" : "push";
}
