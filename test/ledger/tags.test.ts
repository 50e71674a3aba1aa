/** The history of tags: recorded by the pulls that are made anyway, and shown to the owner. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import { Ledger } from "../../src/objects/ledger.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { headers: { Authorization: `Bearer ${ADMIN_KEY}` } };
const HOUR = 3_600_000;
/** For what happens behind a response, on a busy machine too. */
const PATIENCE = { timeout: 30_000 };
const TAG = "/v2/library/demo/manifests/latest";

const mirror = useMirror({ ADMIN_KEY });
beforeEach(() => {
  const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
});

/** Pushes a new image to the tag upstream. @returns its digest. */
async function publish(seed: number, tag = "latest"): Promise<string> {
  const { target } = await mirror.docker.addImage("library/demo", tag, { layers: [patternBytes(100, seed)] });
  return target.digest;
}

interface Shown {
  tag: string;
  visibility: string;
  history: { digest: string | null; from: string; to: string; isCurrent: boolean }[];
}

async function history(name = "docker.io/library/demo:latest"): Promise<Shown[]> {
  const response = await mirror.request(`/_/tags/${name}`, OWNER);
  expect(response.status).toBe(200);
  return (response.json() as { entries: Shown[] }).entries;
}

async function digestsOf(name?: string): Promise<(string | null)[] | undefined> {
  return (await history(name))[0]?.history.map(({ digest }) => digest);
}

describe("a tag's history", () => {
  test("has each digest that pulls found, the latest first, from when to when", async () => {
    const first = await publish(1);
    await mirror.request(TAG);
    await vi.waitFor(async () => expect(await digestsOf()).toEqual([first]), PATIENCE);
    const second = await publish(2);
    mirror.clock.ahead += HOUR;
    await mirror.request(TAG, { method: "HEAD" });
    await vi.waitFor(async () => expect(await digestsOf()).toEqual([second, first]), PATIENCE);
    const [{ history: [latest, earlier] = [] } = {}] = await history();
    expect([latest?.isCurrent, earlier?.isCurrent]).toEqual([true, false]);
    expect(earlier?.to).toBe(latest?.from);
    const between = Date.parse(String(latest?.from)) - Date.parse(String(earlier?.from));
    expect(Math.floor(between / HOUR)).toBe(1);
  });

  test("says when upstream has deleted it", async () => {
    const digest = await publish(1);
    await mirror.request(TAG);
    mirror.docker.fail({ kind: "manifest" }, { status: 404 });
    mirror.clock.ahead += HOUR;
    expect((await mirror.request(TAG)).status).toBe(404);
    await vi.waitFor(async () => expect(await digestsOf()).toEqual([null, digest]), PATIENCE);
  });

  test("is found by the short name, and a repository shows all its tags", async () => {
    const digest = await publish(1);
    await publish(2, "other");
    await mirror.request(TAG);
    await mirror.request("/v2/docker.io/library/demo/manifests/other");
    await vi.waitFor(
      async () =>
        expect((await history("demo")).map(({ tag, visibility }) => [tag, visibility])).toEqual([
          ["latest", "public"],
          ["other", "public"],
        ]),
      PATIENCE,
    );
    expect(await digestsOf("demo:latest")).toEqual([digest]);
    expect(await history("ghcr.io/library/demo")).toEqual([]);
  });

  test("what the ledger missed is in it a day later", async () => {
    const digest = await publish(1);
    const add = vi.spyOn(Ledger.prototype, "add").mockRejectedValue(new Error("over quota"));
    expect((await mirror.request(TAG)).status).toBe(200);
    await vi.waitFor(() => expect(add).toHaveBeenCalled(), PATIENCE);
    add.mockRestore();
    expect(await history()).toEqual([]);
    mirror.clock.ahead += 25 * HOUR;
    await mirror.request(TAG);
    await vi.waitFor(async () => expect(await digestsOf()).toEqual([digest]), PATIENCE);
  });

  test.each([":latest", "docker.io/", "docker.io/:latest", "demo:", "demo:%20"])(
    "is refused for a path that names no image: %s",
    async (name) => {
      expect((await mirror.request(`/_/tags/${name}`, OWNER)).status).toBe(400);
    },
  );

  test("is shown to no other client", async () => {
    await publish(1);
    await mirror.request(TAG);
    expect((await mirror.request("/_/tags/library/demo")).status).toBe(401);
  });
});

test("recording costs no request upstream", async () => {
  await publish(1);
  await mirror.request(TAG);
  await vi.waitFor(async () => expect(await digestsOf()).toHaveLength(1), PATIENCE);
  await mirror.request(TAG);
  expect(mirror.docker.count({ kind: "manifest", status: 200 })).toBe(1);
});
