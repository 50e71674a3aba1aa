/** The feed of tags that moved. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import { atomFeed } from "../../src/ledger/feed.ts";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
const HOUR = 3_600_000;

const mirror = useMirror({ ADMIN_KEY });
beforeEach(() => {
  const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
});

const feed = (query = "", headers: Record<string, string> = {}) =>
  mirror.request(`/_/feed${query}`, { headers: { ...OWNER, ...headers } });

interface Item {
  id: string;
  title: string;
  content_text: string;
  date_published: string;
}
const items = async () => (await feed("?format=json")).json().items as Item[];

/** Moves a tag and pulls it, so that the mirror sees it. */
async function move(seed: number): Promise<string> {
  const { target } = await mirror.docker.addImage("library/demo", "latest", {
    layers: [patternBytes(100, seed)],
  });
  mirror.clock.ahead += HOUR;
  await mirror.request("/v2/library/demo/manifests/latest");
  return target.digest;
}

test("has what moved, was deleted and came back, the latest first, and no first sight", async () => {
  const first = await move(1);
  expect(await items()).toEqual([]);
  const second = await move(2);
  mirror.docker.removeTag("library/demo", "latest");
  mirror.clock.ahead += HOUR;
  await mirror.request("/v2/library/demo/manifests/latest");
  await vi.waitFor(async () => expect(await items()).toHaveLength(2), { timeout: 30_000 });
  const third = await move(3);
  await vi.waitFor(async () => expect(await items()).toHaveLength(3), { timeout: 30_000 });
  const shown = await items();
  expect(shown.map(({ title, content_text }) => [title, content_text])).toEqual([
    ["docker.io/library/demo:latest is back", expect.stringContaining(third)],
    [
      "docker.io/library/demo:latest was deleted",
      `docker.io/library/demo:latest names nothing, and named ${second} before.`,
    ],
    [
      "docker.io/library/demo:latest moved",
      `docker.io/library/demo:latest names ${second}, and named ${first} before.`,
    ],
  ]);
  expect(new Set(shown.map(({ id }) => id)).size).toBe(3);
});

test("is Atom, or JSON Feed where that is requested", async () => {
  await move(1);
  const second = await move(2);
  await vi.waitFor(async () => expect(await items()).toHaveLength(1), { timeout: 30_000 });
  const atom = await feed();
  expect(atom.headers.get("Content-Type")).toBe("application/atom+xml; charset=utf-8");
  const text = new TextDecoder().decode(atom.bytes);
  expect(text).toMatch(
    /^<\?xml version="1.0" encoding="utf-8"\?>\n<feed xmlns="http:\/\/www.w3.org\/2005\/Atom">/,
  );
  expect(text).toContain("<title>docker.io/library/demo:latest moved</title>");
  expect(text).toContain(second);
  for (const json of [await feed("?format=json"), await feed("", { Accept: "application/feed+json" })]) {
    expect(json.headers.get("Content-Type")).toBe("application/feed+json; charset=utf-8");
    expect(json.json()).toMatchObject({
      version: "https://jsonfeed.org/version/1.1",
      feed_url: "https://mirror.test/_/feed",
    });
  }
});

test("is shown to no other client", async () => {
  expect((await mirror.request("/_/feed")).status).toBe(401);
});

test("is well-formed whatever a name holds", async () => {
  const digest = `sha256:${"a".repeat(64)}` as Digest;
  const name = { upstream: "<x>", repository: 'a&b"c', tag: "]]>", visibility: "public" } as const;
  const text = await atomFeed(
    [{ ...name, id: 1, at: 0, digest, before: digest }],
    "https://mirror.test/_/feed",
    0,
  );
  expect(text).toContain("<title>&lt;x&gt;/a&amp;b&quot;c:]]&gt; moved</title>");
});
