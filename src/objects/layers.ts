/** The entry point that Workers Cache is in front of, if wrangler.toml says so. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { serveLayer } from "../pull/layer-cache.ts";
import { type Env, servicesOf } from "../services.ts";

export class Layers extends WorkerEntrypoint<Env> {
  override fetch(request: Request): Promise<Response> {
    return serveLayer(servicesOf(this.env).store, request);
  }
}
