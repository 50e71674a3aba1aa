/** The Worker as it runs on one machine: the deployed one, plus a control entry point for the process that started it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import * as v from "valibot";
import { readKey, writtenKeys } from "../../../src/access/key-list.ts";
import worker from "../../../src/index.ts";
import { keepLimit } from "../../../src/ledger/eviction.ts";
import { type Env, servicesOf } from "../../../src/services.ts";

export * from "../../../src/index.ts";
export default worker;

// There is no edge cache here, and workerd's cache object always fails.
Reflect.deleteProperty(globalThis, "caches");

/** Reached over a separate socket, which only the owner of the data folder can open. */
export class Control extends WorkerEntrypoint<Env> {
  /**
   * `POST /scheduled` does what the cron does; `POST /keys` replaces the access keys by those of its body; `POST
   * /evict?limit=<bytes>` brings the store under a limit, and is answered with an `Eviction`.
   */
  override async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/evict":
        return Response.json(await keepLimit(servicesOf(this.env), Number(searchParams.get("limit"))));
      case "/scheduled": {
        const controller = { cron: "hourly", scheduledTime: Date.now(), noRetry: () => {} };
        await worker.scheduled(controller as ScheduledController, this.env);
        break;
      }
      case "/keys":
        servicesOf(this.env).gate.replaceKeys(v.parse(writtenKeys, await request.json()).map(readKey));
        break;
      default:
        return new Response(null, { status: 404 });
    }
    return new Response(null, { status: 204 });
  }
}
