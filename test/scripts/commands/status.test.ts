/** `portolan status` at a mirror that can't read all of itself, or has nearly used up a free quota. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { portolan } from "../support/portolan.ts";

let server: Server;
let missing: string[];
let quotas: object | null;
let forwarded: object | null;
beforeEach(async () => {
  missing = [];
  quotas = null;
  forwarded = null;
  server = createServer(({ url }, response) => {
    response.end(JSON.stringify(url === "/_/status" ? status() : store()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

const status = () => ({
  ...{ missing, quotas, deployment: "x", started: "2026-11-28T00:00:00.000Z", access: "keys" },
  ...{ keys: missing.includes("keys") ? null : 2, limit: 1_000, upstreams: [], relays: [], endpoints: [] },
  hosted: missing.includes("hosted")
    ? null
    : { repositories: 0, tags: 0, manifests: 0, blobs: 0, bytes: 0, uploads: 0 },
  forwarded,
});

const store = () => ({
  ...{ missing: missing.filter((part) => part === "ledger"), limit: 1_000, bytes: 10, stored: [], pinned: 0 },
  ...{ evicted: missing.includes("ledger") ? null : 5, unreferenced: { objects: 0, bytes: 0 } },
  ...{ growth: 0, full: null, images: [] },
});

async function shown(): Promise<string> {
  const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const environment = { PORTOLAN_ADMIN_KEY: "k".repeat(40) };
  const { code, output, errors } = await portolan(["status", "--mirror", mirror], { environment });
  expect([code, errors]).toEqual([0, ""]);
  return output;
}

test("says which parts of itself a mirror can't read, each once, and shows the rest", async () => {
  expect(await shown()).not.toContain("missing");
  missing = ["hosted", "keys", "ledger"];
  const output = await shown();
  expect(output).toContain("access    for the holders of keys");
  expect(output).toContain("stored    10 B, 1% of 1 kB");
  expect(output).not.toContain("evicted   ");
  expect(output.match(/^ {2}missing .*$/gm)).toEqual([
    "  missing   the records of hosted repositories can't be read",
    "  missing   the access keys can't be read",
    "  missing   the ledger can't be read: uses, quotas and what was evicted aren't known",
  ]);
});

test("says what a gateway has sent on", async () => {
  forwarded = {
    ...{ to: "mirror.example.com", uploads: 1, blobs: 3, present: 2, manifests: 1, bytes: 5_000_000 },
    failed: 0,
  };
  expect(await shown()).toContain(
    "gateway   5 MB: 3 blobs and 1 manifest pushed to mirror.example.com, 2 blobs there before, 1 upload under way",
  );
});

test("says what stops short of a free quota", async () => {
  quotas = { used: { kvWrites: 950 }, free: { kvWrites: 1_000 }, tight: ["kvWrites"] };
  expect(await shown()).toContain(
    "today     95% of the writes of KV that are free: until the day is over nothing is fetched ahead, and uses aren't recorded",
  );
});
