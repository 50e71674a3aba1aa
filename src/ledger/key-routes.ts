/** The owner's routes for access keys. */
import { Hono } from "hono";
import type { ManagedKeys } from "./managed-keys.ts";
import { bodyOf } from "./requests.ts";

export function keyRoutes(keys: () => ManagedKeys): Hono {
  const routes = new Hono();
  routes.get("/", async (c) => c.json({ keys: await keys().list() }));
  routes.post("/", async (c) => c.json(await keys().make(await bodyOf(c)), 201));
  routes.put("/:name", async (c) => {
    await keys().narrow(c.req.param("name"), await bodyOf(c));
    return c.body(null, 204);
  });
  routes.post("/:name/rotate", async (c) =>
    c.json(await keys().rotate(c.req.param("name"), await bodyOf(c))),
  );
  routes.delete("/:name", async (c) => {
    await keys().revoke(c.req.param("name"));
    return c.body(null, 204);
  });
  return routes;
}
