/** The Worker's entry: what the platform calls. */
import { protect } from "./access/browsers.ts";
import { createApp } from "./app.ts";
import { runSchedule } from "./ledger/schedule.ts";
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

  scheduled: (_controller, env) => runSchedule(servicesOf(env)),
} satisfies ExportedHandler<Env>;
