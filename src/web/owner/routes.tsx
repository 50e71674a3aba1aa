/** `/_/owner` and what is below it: the status of the mirror for the holder of ADMIN_KEY, who has signed in. */
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { Parts } from "../../ledger/parts.ts";
import { unavailable } from "../../ledger/unavailable.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { PageKit } from "../page-kit.tsx";
import { isOwner, type SessionServices } from "../session.ts";
import { signInPath } from "../session-page.tsx";
import { detectLanguage, visitOf } from "../site.ts";
import { keys } from "./access-keys.tsx";
import { ACTIONS, type Done } from "./actions.ts";
import { OwnerFrame } from "./frame.tsx";
import { hosted } from "./hosted.tsx";
import { overview } from "./overview.tsx";
import { type OwnerServices, pathOf, SECTIONS, type SectionName, type SectionView } from "./section.ts";
import { store } from "./store.tsx";
import { tags } from "./tags.tsx";

const VIEWS: Readonly<Record<SectionName, SectionView>> = { overview, store, tags, keys, hosted };

interface Outcome {
  done: Done | null;
  /** Why what was wanted wasn't done. */
  problem: RegistryError | null;
}

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
    return c.redirect(signInPath(visitOf(c, config).path), 303);
  });

  const show = async (c: Context, name: SectionName, { done, problem }: Outcome) => {
    const visit = visitOf(c, config);
    const { texts } = visit;
    const parts = new Parts();
    const content = await VIEWS[name]({ services, visit, c, parts });
    const view = (
      <OwnerFrame
        {...{ texts, current: name, done, missing: parts.missing, problem: problem?.message ?? null }}
      >
        {content}
      </OwnerFrame>
    );
    return respond(c, visit, view, {
      ...{ status: problem?.status ?? 200, headers: problem?.headers ?? {} },
      ...{ title: `${texts.owner.section[name]} · ${texts.owner.heading}`, current: "status" },
    });
  };

  for (const name of SECTIONS) {
    routes.get(pathOf(name), detectLanguage, page, owner, (c) =>
      show(c, name, { done: null, problem: null }),
    );
    routes.post(pathOf(name), detectLanguage, page, owner, async (c) => {
      const form = await formOf(c);
      const action = form.get("action") ?? "";
      const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
      if (!act) throw new RegistryError(400, "UNSUPPORTED", "there is no such action");
      const { texts } = visitOf(c, config);
      try {
        const done = await act({ services, form, texts, c });
        if ("path" in done) return c.redirect(done.path, 303);
        return await show(c, name, { done, problem: null });
      } catch (error) {
        return show(c, name, { done: null, problem: problemOf(error) });
      }
    });
  }
  return routes;
}

function problemOf(error: unknown): RegistryError {
  const known = error instanceof RegistryError ? error : unavailable(error);
  if (known) return known;
  console.error(error);
  return new RegistryError(500, "UNAVAILABLE", "the mirror failed; its log says why");
}
