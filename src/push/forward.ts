/** A gateway: hosted repositories are another mirror's, and requests for them go on to the process that sends them there. */
import { RegistryError } from "../oci/errors.ts";
import { appendVia, passesOf } from "../registry/via.ts";
import type { HostedRecords, Page } from "./records.ts";
import type { HostedRequest } from "./request.ts";
import type { HostedResource } from "./target.ts";

/** The process, by the socket that only its owner can open. */
export interface GatewayProcess {
  fetch: typeof fetch;
}

/** Set where the client may read everything there: only then is a blob of any repository mounted. */
export const READS_ALL_HEADER = "X-Portolan-Reads-All";

export interface Gateway {
  process: GatewayProcess;
  /** The Via entry of this mirror. */
  via: string;
}

/** What the process reads: the path under which the client finds the repository, for Location and Link. */
export const PATH_HEADER = "X-Portolan-Path";

/** Request headers that matter to it. */
const PASSED = ["Content-Type", "Content-Length", "Content-Range", "Range"];

/** What the client of a forwarded request may read. */
export interface ForwardedCaller {
  /** The name of hosted repositories in paths, as mounts have it too. */
  path: string;
  readsAll: boolean;
}

/** Serves a request that its caller is allowed to make from the other mirror. @throws RegistryError 403 for one that goes in circles. */
export async function forwardHosted(
  { process, via }: Gateway,
  { method, headers, body, search, target, prefix, mayRead }: HostedRequest,
  { path, readsAll }: ForwardedCaller,
): Promise<Response> {
  checkCircle(headers, via);
  const query = new URLSearchParams(search);
  if (!readsAll) limitMount(query, path, mayRead);
  const url = new URL(`http://gateway/${target.repository}/${tailOf(target.resource)}`);
  url.search = query.toString();
  const passed = new Headers({
    [PATH_HEADER]: prefix + target.path,
    Via: appendVia(headers.get("Via") ?? "", via),
  });
  if (readsAll) passed.set(READS_ALL_HEADER, "1");
  for (const name of PASSED) {
    const value = headers.get(name);
    if (value !== null) passed.set(name, value);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  const response = await process.fetch(url, { method, headers: passed, body: hasBody ? body : null });
  return new Response(response.body, response);
}

/** The other mirror's repositories, as `listRepositories` takes them. @throws RegistryError for its failure. */
export function forwardedRepositories(
  { process, via }: Gateway,
  headers: Headers,
): Pick<HostedRecords, "listRepositories"> {
  return {
    listRepositories: async ({ last, limit }: Page) => {
      checkCircle(headers, via);
      const query = new URLSearchParams({ n: String(limit), ...(last !== null && { last }) });
      const response = await process.fetch(`http://gateway/_catalog?${query}`, {
        headers: { Via: appendVia(headers.get("Via") ?? "", via) },
      });
      const found: Catalog = await response.json();
      const [error] = found.errors ?? [];
      if (error) throw new RegistryError(response.status, "UNAVAILABLE", error.message);
      return { names: found.repositories ?? [], hasMore: response.headers.has("Link") };
    },
  };
}

/** As the process sends it. */
interface Catalog {
  repositories?: string[];
  errors?: { message: string }[];
}

/**
 * The key at the other mirror may read more than the client's, and a mount from there would pass that on. What remains is one from
 * the hosted repository that was checked, named without the path: as it stands, the other mirror could take it for a mirrored one.
 */
function limitMount(query: URLSearchParams, path: string, mayRead: HostedRequest["mayRead"]): void {
  const from = query.get("from");
  const prefix = `${path}/`;
  const repository = from?.startsWith(prefix) ? from.slice(prefix.length) : from;
  if (repository !== null && repository !== undefined && mayRead(repository)) query.set("from", repository);
  else query.delete("mount");
}

function checkCircle(headers: Headers, via: string): void {
  if (passesOf(headers.get("Via") ?? "", via) === 0) return;
  throw new RegistryError(403, "DENIED", "the mirror of --push-to leads back to this one");
}

function tailOf(resource: HostedResource): string {
  switch (resource.kind) {
    case "blob":
      return `blobs/${resource.digest}`;
    case "upload":
      return `blobs/uploads/${resource.id ?? ""}`;
    case "manifest":
      return `manifests/${"tag" in resource.reference ? resource.reference.tag : resource.reference.digest}`;
    case "tags":
      return "tags/list";
    case "referrers":
      return `referrers/${resource.digest}`;
  }
}
