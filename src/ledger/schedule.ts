/** What the mirror does every hour: on Cloudflare by cron, on one machine by itself. */
import type { Config } from "../config.ts";
import { type EvictionServices, keepLimit } from "./eviction.ts";
import { type QuotaServices, requireRoom } from "./quotas.ts";
import type { RecallServices, Recalls } from "./recalls.ts";
import { type WatchServices, watch } from "./watch.ts";

type ScheduleServices = EvictionServices &
  QuotaServices &
  RecallServices &
  WatchServices & { config: Config; recalls: Recalls };

/** Each task is tried, whether or not those before it fail: a ledger that fails is no reason to exceed the limit. */
export async function runSchedule(services: ScheduleServices): Promise<void> {
  const tasks: [failed: string, run: (services: ScheduleServices) => Promise<void>][] = [
    ["recalled content can't be deleted", ({ recalls }) => recalls.sweep(services)],
    ["the store isn't brought under its limit", evict],
    ["no tags are watched", watchTags],
  ];
  for (const [failed, run] of tasks) {
    await run(services).catch((error: unknown) =>
      console.warn(`${failed}: ${error instanceof Error ? error.message : error}`),
    );
  }
}

async function evict(services: ScheduleServices): Promise<void> {
  const { cacheLimit } = services.config;
  const { stored, freed } = await keepLimit(services, cacheLimit);
  if (freed > 0) console.log(`evicted ${freed} bytes; ${stored} of ${cacheLimit} are stored`);
}

async function watchTags(services: ScheduleServices): Promise<void> {
  if (services.config.watch === null) return;
  await requireRoom(services);
  const { tags, fetched, limited } = await watch(services);
  if (tags > 0) console.log(`watched ${tags} tags, and fetched ${fetched} images ahead`);
  if (limited.length > 0)
    console.warn(`${limited.join(", ")} limits requests: its other tags are watched later`);
}
