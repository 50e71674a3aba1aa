/** The Worker's entry: what the platform calls. */
import { protect } from "./access/browsers.ts";
import { createApp } from "./app.ts";
import { keepLimit } from "./ledger/eviction.ts";
import { requireRoom } from "./ledger/quotas.ts";
import { watch } from "./ledger/watch.ts";
import { errorResponse, RegistryError } from "./oci/errors.ts";
import { type Env, servicesOf } from "./services.ts";

export { BlobFill } from "./objects/blob-fill.ts";
export { HostedRecords } from "./objects/hosted-records.ts";
export { Layers } from "./objects/layers.ts";
export { Ledger } from "./objects/ledger.ts";
export { RepositoryResolver } from "./objects/repository-resolver.ts";

let app: ReturnType<typeof createApp> | null = null;

export default {
  fetch(request, env, context) {
    try {
      app ??= createApp(servicesOf(env));
    } catch (error) {
      // A configuration that can't be used: the operator has to see it, and nothing may be served by half of it.
      console.error(error);
      const message = error instanceof Error ? error.message : String(error);
      const response = errorResponse(new RegistryError(500, "UNAVAILABLE", message), request.method);
      protect(response.headers);
      return response;
    }
    return app.fetch(request, env, context);
  },

  async scheduled(_controller, env) {
    const services = servicesOf(env);
    const { config, recalls } = services;
    await recalls
      .sweep(services)
      .catch((error) => console.warn(`recalled content can't be deleted: ${error}`));
    const { stored, freed } = await keepLimit(services, config.cacheLimit);
    if (freed > 0) console.log(`evicted ${freed} bytes; ${stored} of ${config.cacheLimit} are stored`);
    if (config.watch === null) return;
    try {
      await requireRoom(services);
    } catch (error) {
      return console.warn(`no tags are watched: ${error instanceof Error ? error.message : error}`);
    }
    const { tags, fetched, limited } = await watch(services);
    if (tags > 0) console.log(`watched ${tags} tags, and fetched ${fetched} images ahead`);
    if (limited.length > 0)
      console.warn(`${limited.join(", ")} limits requests: its other tags are watched later`);
  },
} satisfies ExportedHandler<Env>;
