/** The page of an image on what its tag named before, and what slow tags serve; and the space it takes, for its owner. */
import { describe, expect, test } from "vitest";
import { readHistory } from "../../src/web/image/history.tsx";
import { useMirror } from "../support/mirror.ts";
import { publish } from "./support.ts";

const DAY = 86_400_000;
const ADMIN_KEY = "a".repeat(32);
const PATH = "/_/image/docker.io/library/nginx:1.27";

const mirror = useMirror({ COOLDOWN: { "*": "7d" }, ADMIN_KEY });

async function page(headers: Record<string, string> = {}): Promise<string> {
  const { bytes, status } = await mirror.request(PATH, { headers: { Accept: "text/html", ...headers } });
  expect(status).toBe(200);
  return new TextDecoder().decode(bytes);
}

async function owner(): Promise<{ Cookie: string }> {
  const response = await mirror.request("/_/session", {
    method: "POST",
    body: new URLSearchParams({ key: ADMIN_KEY, next: "/" }).toString(),
    headers: { Origin: "https://mirror.test", "Content-Length": "80" },
  });
  return { Cookie: response.headers.getSetCookie()[0]?.split(";")[0] ?? "" };
}

describe("the page of a tag that has moved", () => {
  test("shows what it named and until when, what pulls get, and from when they get the newest", async () => {
    const old = await publish(mirror.docker, "library/nginx", "1.27");
    await page();
    mirror.clock.ahead += 10 * DAY;
    const young = await publish(mirror.docker, "library/nginx", "1.27", [20]);
    const moved = new Date(Date.now());
    await page();
    const html = await page();
    const row = (digest: string) =>
      new RegExp(`<li><a href="[^"]*@${digest}">.*?</li>`).exec(html)?.[0] ?? "";
    expect(row(old.digest)).toContain("pulls get this one");
    expect(row(young.digest)).toMatch(/since \d{4}-/);
    expect(row(young.digest)).not.toContain("pulls get this one");
    const due = new Date(moved.getTime() + 7 * DAY).toISOString().slice(0, 13).replace("T", " ");
    expect(html).toContain(`until ${due}`);
    expect(html.indexOf(young.digest)).toBeGreaterThan(-1);
    mirror.clock.ahead += 8 * DAY;
    expect(await page()).not.toContain("is too young");
  });

  test("in Chinese too", async () => {
    await publish(mirror.docker, "library/nginx", "1.27");
    expect(await page({ "Accept-Language": "zh-CN" })).toContain("标签指向过的镜像");
  });
});

describe("the space that an image takes", () => {
  test("is shown to the owner, with the images that share it, and to no one else", async () => {
    await publish(mirror.docker, "library/nginx", "1.27", [3000, 900]);
    const { layers } = await publish(mirror.docker, "library/caddy", "2", [3000, 50]);
    for (const [repository, tag] of [
      ["nginx", "1.27"],
      ["caddy", "2"],
    ]) {
      const index = (await mirror.request(`/v2/library/${repository}/manifests/${tag}`)).json();
      for (const { digest } of (index as { manifests: { digest: string }[] }).manifests) {
        await mirror.request(`/v2/library/${repository}/manifests/${digest}`);
      }
      await mirror.request(`/v2/library/${repository}/blobs/${layers[0]?.digest}`);
    }
    const html = await page(await owner());
    expect(html).toContain("shared with docker.io/library/caddy:2");
    expect(await page()).not.toContain("library/caddy");
  });
});

test("what only private pulls have shown of a tag is for the owner alone", async () => {
  const digest = `sha256:${"1".repeat(64)}` as const;
  const entry = {
    ...{ upstream: "docker.io", repository: "team/app", tag: "1", visibility: "private" as const },
    names: [{ named: { digest, mediaType: "", size: 1 }, from: 0 }],
    ...{ released: [], checked: 0 },
  };
  const { services } = mirror;
  const privately = {
    ...{ config: services.config, now: services.now },
    tagHistory: () =>
      Object.assign(Object.create(services.tagHistory()), { tagHistory: async () => [entry] }),
  };
  const name = { upstream: "docker.io", repository: "team/app" };
  expect(await readHistory(privately, name, "1", false)).toBeNull();
  expect(await readHistory(privately, name, "1", true)).toMatchObject({ visibility: "private" });
});
