/** The Worker as it runs on one machine: the deployed one, plus a control entry point for the process that started it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import worker from "../../../src/index.ts";
import type { Env } from "../../../src/services.ts";

export * from "../../../src/index.ts";
export default worker;

// There is no edge cache here, and workerd's cache object always fails.
Reflect.deleteProperty(globalThis, "caches");

/** Reached over a separate socket, which only the owner of the data folder can open. */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== "/scheduled") return new Response(null, { status: 404 });
    const controller = { cron: "hourly", scheduledTime: Date.now(), noRetry: () => {} };
    await worker.scheduled(controller as ScheduledController, this.env);
    return new Response(null, { status: 204 });
  }
}
