/** The list of recalled digests: who may see and change it, what it takes, and when a change counts. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import type { Ledger } from "../../src/objects/ledger.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useRecalls } from "./recalls-scene.ts";

const LAYER = patternBytes(100_000, 1);
const NOWHERE: Digest = `sha256:${"0".repeat(64)}`;

const { mirror, get, demo, send, recall } = useRecalls();
let manifest: Digest;
let layer: Digest;

beforeEach(async () => {
  const image = await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
  manifest = image.target.digest as Digest;
  layer = await digestOf(LAYER);
});

const ledgerObject = () =>
  (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER.getByName("ledger");

describe("the list", () => {
  test("is shown to the owner, the latest first, and changed by the owner", async () => {
    await recall(layer, "first");
    mirror.clock.ahead += 1_000;
    await recall(manifest, "second");
    const shown = async () => {
      const { entries } = (await send("GET", "recalled")).json() as {
        entries: { digest: string; reason: string; at: number }[];
      };
      return entries.map(({ digest, reason }) => [digest, reason]);
    };
    expect(await shown()).toEqual([
      [manifest, "second"],
      [layer, "first"],
    ]);
    await recall(manifest, "another reason");
    expect((await shown())[0]).toEqual([manifest, "another reason"]);
    await send("DELETE", `recalled/${manifest}`);
    expect(await shown()).toEqual([[layer, "first"]]);
    expect((await send("DELETE", `recalled/${manifest}`)).status).toBe(404);
  });

  test.each([
    ["no key", {}],
    ["another key", { Authorization: "Bearer wrong" }],
  ])("is closed to %s", async (_, headers) => {
    await recall(manifest);
    const body = JSON.stringify({ digest: layer });
    const posted = { ...headers, "Content-Length": String(body.length) };
    expect((await get("/_/recalled", { headers })).status).toBe(401);
    expect((await get("/_/recalled", { method: "POST", headers: posted, body })).status).toBe(401);
    expect((await get(`/_/recalled/${manifest}`, { method: "DELETE", headers })).status).toBe(401);
    expect((await demo(`blobs/${layer}`)).status).toBe(200);
    expect((await demo(`manifests/${manifest}`)).status).toBe(403);
  });

  test.each([
    ["no digest", { reason: "x" }],
    ["a tag", { digest: "latest" }],
    ["a digest that is too short", { digest: `sha256:${"a".repeat(63)}` }],
    ["a reason of two lines", { digest: NOWHERE, reason: "a\nb" }],
    ["a reason with an escape sequence", { digest: NOWHERE, reason: "\u001b[2J" }],
    ["a reason with invisible characters", { digest: NOWHERE, reason: "a\u202eb" }],
    ["a reason that is too long", { digest: NOWHERE, reason: "a".repeat(201) }],
    ["something else", { digest: NOWHERE, everything: true }],
  ])("takes no entry with %s", async (_, body) => {
    expect((await send("POST", "recalled", JSON.stringify(body))).status).toBe(400);
    expect((await send("GET", "recalled")).json()).toEqual({ entries: [] });
  });

  test("takes no more than it may have, but a new reason for what it has", async () => {
    const entry = (digest: Digest, reason: string) => ({ digest, reason, at: 1 });
    const object = ledgerObject();
    expect(await object.recall(entry(layer, "a"), 1)).toEqual([entry(layer, "a")]);
    expect(await object.recall(entry(manifest, "b"), 1)).toBeNull();
    expect(await object.recall(entry(layer, "c"), 1)).toEqual([entry(layer, "c")]);
  });

  test("that another isolate has changed counts here within a minute", async () => {
    expect((await demo(`blobs/${layer}`)).status).toBe(200);
    await ledgerObject().recall({ digest: layer, reason: "", at: 1 }, 10);
    mirror.clock.ahead += 60_000;
    expect((await demo(`blobs/${layer}`)).status).toBe(403);
    await ledgerObject().undoRecall(layer);
    mirror.clock.ahead += 60_000;
    expect((await demo(`blobs/${layer}`)).status).toBe(200);
  });
});
