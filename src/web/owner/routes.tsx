/** `/_/owner`: the status of the mirror for the holder of ADMIN_KEY, who has signed in. */
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { NO_ACTIVITY } from "../../ledger/activity.ts";
import type { HoldingsLedger } from "../../ledger/held.ts";
import { Parts } from "../../ledger/parts.ts";
import type { AdminServices } from "../../ledger/routes.ts";
import { summaryOf } from "../../ledger/summary.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { PageKit } from "../page-kit.tsx";
import { isOwner, type SessionServices } from "../session.ts";
import { detectLanguage, visitOf } from "../site.ts";
import { ACTIONS, type Done } from "./actions.ts";
import { barsOf, errorsOf, mostPulled } from "./figures.ts";
import { OwnerView, RANGES } from "./view.tsx";

export type OwnerServices = AdminServices & { ledger: Pick<HoldingsLedger, "counted" | "index"> };

const HOUR = 3_600_000;
/** Bars of the chart: one for each half hour of a day. */
const BARS = 48;

/** @param formOf reads a form that a page of this mirror's own has sent. */
export function ownerRoutes(
  services: OwnerServices,
  sessions: SessionServices,
  { config, page, respond }: PageKit,
  formOf: (c: Context) => Promise<URLSearchParams>,
): Hono {
  const routes = new Hono();
  const owner = createMiddleware(async (c, next) => {
    if (services.config.adminKey === null) {
      const message = "this mirror has no ADMIN_KEY: set it as a secret of 32 characters or more";
      throw new RegistryError(403, "DENIED", message);
    }
    if (await isOwner(sessions, c)) return next();
    if (c.req.method !== "GET") throw new RegistryError(401, "UNAUTHORIZED", "sign in again");
    return c.redirect("/_/session?next=/_/owner", 303);
  });

  const show = async (c: Context, done: Done | null) => {
    const { ledger, now, upstream, recalls, managedKeys } = services;
    const parts = new Parts();
    const range = RANGES.find((hours) => String(hours) === c.req.query("hours")) ?? 24;
    const since = now() - range * HOUR;
    const [traffic, counted, index, activity, recalled, keys] = await Promise.all([
      parts.read("ledger", ledger.since(since), []),
      parts.read("ledger", ledger.counted(), { at: null, stored: [], evicted: 0 }),
      parts.read("ledger", ledger.index(), { uses: [] }),
      parts.read("ledger", ledger.activity(), NO_ACTIVITY),
      parts.read("ledger", recalls.list(), []),
      services.config.access === "keys" ? parts.read("keys", managedKeys.list(), []) : null,
    ]);
    const visit = visitOf(c, config);
    const view = (
      <OwnerView
        {...{ visit, range, counted, recalled, keys, done }}
        missing={parts.missing}
        summary={summaryOf(traffic)}
        bars={barsOf(traffic, since, now(), BARS)}
        errors={errorsOf(traffic)}
        pulled={mostPulled(index.uses)}
        limit={services.config.cacheLimit}
        endpoints={upstream.endpoints()}
        remaining={activity.remaining}
      />
    );
    return respond(c, visit, view, { title: visit.texts.owner.heading, current: "status" });
  };

  routes.get("/_/owner", detectLanguage, page, owner, (c) => show(c, null));
  routes.post("/_/owner", detectLanguage, page, owner, async (c) => {
    const form = await formOf(c);
    const name = form.get("action") ?? "";
    const act = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!act) throw new RegistryError(400, "UNSUPPORTED", "there is no such action");
    return show(c, await act(services, form, visitOf(c, config).texts, c));
  });
  return routes;
}
