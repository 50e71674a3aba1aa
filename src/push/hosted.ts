/** Requests for hosted repositories, by what they name and how (distribution-spec, "Endpoints"). */
import { RegistryError } from "../oci/errors.ts";
import { deleteBlob, serveBlob } from "./blobs.ts";
import { listReferrers, listTags } from "./listings.ts";
import { deleteManifest, putManifest, serveManifest } from "./manifests.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";
import type { HostedResource } from "./target.ts";
import { appendToUpload, cancelUpload, finishUpload, startUpload, uploadStatus } from "./uploads.ts";

type Handler = (services: PushServices, request: HostedRequest) => Promise<Response>;

/**
 * Serves a request that its caller is allowed to make.
 * @throws RegistryError
 */
export function serveHosted(services: PushServices, request: HostedRequest): Promise<Response> {
  const handlers = handlersOf(request.target.resource);
  const handler = handlers[request.method];
  if (handler) return handler(services, request);
  const Allow = Object.keys(handlers).join(", ");
  throw new RegistryError(405, "UNSUPPORTED", `the methods here are ${Allow}`, { Allow });
}

/** What can be done with a resource, by method. */
function handlersOf(resource: HostedResource): Partial<Record<string, Handler>> {
  switch (resource.kind) {
    case "blob": {
      const { digest } = resource;
      const serve: Handler = (services, request) => serveBlob(services, request, digest);
      return {
        GET: serve,
        HEAD: serve,
        DELETE: (services, request) => deleteBlob(services, request, digest),
      };
    }
    case "upload": {
      const { id } = resource;
      if (id === null) return { POST: startUpload };
      return {
        GET: (services, request) => uploadStatus(services, request, id),
        PATCH: (services, request) => appendToUpload(services, request, id),
        PUT: (services, request) => finishUpload(services, request, id),
        DELETE: (services, request) => cancelUpload(services, request, id),
      };
    }
    case "manifest": {
      const { reference } = resource;
      const serve: Handler = (services, request) => serveManifest(services, request, reference);
      return {
        GET: serve,
        HEAD: serve,
        PUT: (services, request) => putManifest(services, request, reference),
        DELETE: (services, request) => deleteManifest(services, request, reference),
      };
    }
    case "tags":
      return { GET: listTags, HEAD: listTags };
    case "referrers": {
      const { digest } = resource;
      const list: Handler = (services, request) => listReferrers(services, request, digest);
      return { GET: list, HEAD: list };
    }
  }
}
