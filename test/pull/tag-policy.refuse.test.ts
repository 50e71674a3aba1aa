/** Slow tags where nothing is served that isn't known for long enough, and the history of private tags. */
import { expect, test, vi } from "vitest";
import { Ledger } from "../../src/objects/ledger.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const HOSTED = { username: "owner", password: "hunter2" };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [HOSTED] },
  COOLDOWN: { "docker.io/library/*": "7d" },
  COOLDOWN_UNKNOWN: "refuse",
});

async function publish(repository: string, seed: number): Promise<string> {
  const { target } = await mirror.docker.addImage(repository, "latest", {
    layers: [patternBytes(100, seed)],
  });
  return target.digest;
}

async function pull(repository: string, query = ""): Promise<string | number> {
  const path = `/v2/${repository}/manifests/latest${query}`;
  const { status, headers } = await mirror.request(path, { headers: basic(KEY) });
  return status === 200 ? (headers.get("Docker-Content-Digest") ?? "none") : status;
}

const day = () => new Date().toISOString().slice(0, 10);

test("a tag is refused until a digest of it is old enough, and says how to let it through", async () => {
  const first = await publish("library/demo", 1);
  const response = await mirror.request("/v2/library/demo/manifests/latest", { headers: basic(KEY) });
  expect(response.status).toBe(404);
  expect(response.json()).toMatchObject({
    errors: [
      {
        code: "MANIFEST_UNKNOWN",
        message: expect.stringContaining("portolan release docker.io/library/demo:latest"),
      },
    ],
  });
  mirror.clock.ahead += 8 * DAY;
  expect(await pull("library/demo")).toBe(first);
});

test("a tag is refused while its history can't be read", async () => {
  await publish("library/demo", 1);
  await pull("library/demo");
  mirror.clock.ahead += 8 * DAY;
  vi.spyOn(Ledger.prototype, "decide").mockRejectedValue(new Error("over quota"));
  expect(await pull("library/demo")).toBe(503);
});

test("what a private tag named is known to no request that is made as an anonymous one", async () => {
  mirror.docker.settings.credentials = [HOSTED];
  const secret = await publish("owner/secret", 1);
  mirror.docker.setVisibility("owner/secret", "private");
  expect(await pull("owner/secret", `?at=${day()}`)).toBe(secret);
  const before = day();
  mirror.clock.ahead += 2 * DAY;
  const open = await publish("owner/secret", 2);
  mirror.docker.setVisibility("owner/secret", "public");
  expect(await pull("owner/secret")).toBe(open);
  expect(await pull("owner/secret", `?at=${before}`)).toBe(404);
});

test("what a private tag named is served to no one whom upstream denies the tag", async () => {
  mirror.docker.settings.credentials = [HOSTED];
  await publish("owner/secret", 1);
  mirror.docker.setVisibility("owner/secret", "private");
  await pull("owner/secret");
  const before = day();
  mirror.docker.settings.credentials = [];
  mirror.clock.ahead += 2 * DAY;
  expect([401, 403, 404]).toContain(await pull("owner/secret", `?at=${before}`));
});
