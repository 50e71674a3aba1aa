/** What the owner does in the sections of the page beyond the first: each is confirmed by what happened. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Ledger } from "../../src/index.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { localPusher } from "../push/support.ts";
import { ADMIN_KEY, textOf as text, useOwner } from "./owner-scene.ts";
import { publish } from "./support.ts";

const DAY = 86_400_000;
const { mirror, post, page, signIn } = useOwner({
  ...KEYED,
  ADMIN_KEY,
  COOLDOWN: { "docker.io/*": "7d" },
  DOCS_URL: "https://docs.example.com/portolan",
  HOSTED_IMMUTABLE: ["hosted/release/*"],
  CACHE_LIMIT: "10 kB",
});
beforeEach(signIn);
const pull = (path: string, key = KEY) => mirror.request(`/v2/${path}`, { headers: basic(key) });
const notice = (html: string) => /<div class="notice done".*?<p class="good">(.*?)<\/p>/s.exec(html)?.[1];
const alert = (html: string) => /<p class="notice problem" role="alert">(.*?)<\/p>/s.exec(html)?.[1];

describe("the store", () => {
  test("says in what order images leave and what each frees, and removes one with its bytes", async () => {
    const { layers } = await publish(mirror.docker, "library/nginx", "1");
    await publish(mirror.docker, "library/nginx", "2", [3000, 900, 41]);
    await post("/_/owner/store", { action: "warm", image: "nginx:1" });
    await post("/_/owner/store", { action: "warm", image: "nginx:2" });
    const html = text(await page("/_/owner/store"));
    const rows = [...html.matchAll(/<tr><td>.*?<\/tr>/gs)].map(([row]) => row.replaceAll(/<[^>]+>/g, " "));
    expect(rows).toHaveLength(2);
    expect(rows[0]).toContain("docker.io/library/nginx:1");
    // The first leaves its own layer and manifests, the second what both had.
    const freed = rows.map((row) => Number.parseFloat(/([\d.]+) kB\s+20\d\d-/.exec(row)?.[1] ?? "0"));
    expect(freed[1]).toBeGreaterThan((freed[0] ?? 0) + 3.8);
    const image = "docker.io/library/nginx:1";
    const removed = text(await post("/_/owner/store", { action: "remove", image }));
    expect(notice(removed)).toMatch(/^docker\.io\/library\/nginx:1 is removed: \d+ objects, [\d.]+ kB\.$/);
    expect(text(await page("/_/owner/store"))).not.toContain(`>${image}<`);
    const has = (digest = "") =>
      mirror.stored().then((keys) => keys.some((key) => key.endsWith(digest.slice(7))));
    expect(await has(layers[2]?.digest)).toBe(false);
    expect(await has(layers[0]?.digest)).toBe(true);
  });

  test("pins images by name and by pattern, lists what is pinned, and ends that", async () => {
    await publish(mirror.docker, "library/nginx", "1");
    await post("/_/owner/store", { action: "warm", image: "nginx:1" });
    const pinned = text(await post("/_/owner/store", { action: "pin", image: "nginx:1" }));
    expect(notice(pinned)).toMatch(/^docker\.io\/library\/nginx:1 is pinned/);
    expect(notice(text(await post("/_/owner/store", { action: "pin", image: "ghcr.io/team/*" })))).toMatch(
      /^ghcr\.io\/team\/\* is pinned/,
    );
    expect(alert(text(await post("/_/owner/store", { action: "pin", image: "no*slash" })))).toContain(
      "can&#39;t match",
    );
    const html = text(await page("/_/owner/store"));
    const section = /<section[^>]*aria-labelledby="pinned".*?<\/section>/s.exec(html)?.[0] ?? "";
    expect(section).toContain("<code>ghcr.io/team/*</code>");
    expect(section).toContain('href="/_/image/docker.io/library/nginx:1"');
    const ended = text(await post("/_/owner/store", { action: "unpin", pattern: "ghcr.io/team/*" }));
    expect(notice(ended)).toBe("ghcr.io/team/* is no longer pinned.");
    expect(text(await page("/_/owner/store"))).not.toContain("<code>ghcr.io/team/*</code>");
  });

  test("says how many bytes a forgotten digest took", async () => {
    const { layers } = await publish(mirror.docker, "library/nginx", "1");
    await post("/_/owner/store", { action: "warm", image: "nginx:1" });
    const image = `nginx@${layers[0]?.digest}`;
    expect(notice(text(await post("/_/owner/store", { action: "purge", image })))).toMatch(
      /is deleted: 3\.0 kB\.$/,
    );
  });
});

describe("tags", () => {
  test("that COOLDOWN holds back are listed until when, and released", async () => {
    const first = await publish(mirror.docker, "library/nginx", "1");
    const record = {
      upstream: "docker.io",
      repository: "library/nginx",
      tag: "1",
      visibility: "public",
    } as const;
    const history = mirror.services.tagHistory();
    const named = (digest: string) => ({
      digest,
      mediaType: "application/vnd.oci.image.index.v1+json",
      size: 9,
    });
    const rules = { at: 0, cooldown: 0, unknown: "serve", keep: false } as const;
    const see = (digest: string, at: number) =>
      history.decide(record, rules, { name: record, named: named(digest) as never, at });
    await see(`sha256:${"a".repeat(64)}`, mirror.services.now() - 9 * DAY);
    await see(first.digest, mirror.services.now() - DAY);
    const html = text(await page("/_/owner/tags"));
    const due = new Date(mirror.services.now() + 6 * DAY).toISOString().slice(0, 10);
    expect(html).toMatch(new RegExp(`library/nginx:1</a>.*served from ${due}`, "s"));
    const released = text(
      await post("/_/owner/tags", { action: "release", image: "docker.io/library/nginx:1" }),
    );
    expect(notice(released)).toBe(`docker.io/library/nginx:1 is served with ${first.digest} from now on.`);
    expect(released).not.toContain("served from");
    const undone = text(
      await post("/_/owner/tags", { action: "unrelease", image: "docker.io/library/nginx:1" }),
    );
    expect(notice(undone)).toContain("no longer released");
    expect(undone).toContain("served from");
    const again = await post("/_/owner/tags", { action: "unrelease", image: "docker.io/library/nginx:1" });
    expect([again.status, alert(text(again))]).toEqual([
      404,
      "That wasn’t done: nothing is released for this tag.",
    ]);
  });

  test("a recall by an image's name says who had it, and the trace shows it", async () => {
    const { digest } = await publish(mirror.docker, "library/nginx", "1");
    await mirror.services.ledger.add(
      { pulls: [{ digest: digest as never, key: "laptop" }] },
      mirror.services.now(),
    );
    const traced = await post("/_/owner/tags", { action: "trace", digest: "nginx:1" });
    expect([traced.status, traced.headers.get("Location")]).toEqual([
      303,
      `/_/owner/tags?digest=${digest}#recalls`,
    ]);
    expect(text(await page(`/_/owner/tags?digest=${digest}`))).toMatch(
      /class="trace".*<strong>laptop<\/strong>/s,
    );
    const recalled = text(
      await post("/_/owner/tags", { action: "recall", digest: "nginx:1", reason: "bad" }),
    );
    expect(notice(recalled)).toContain(`${digest} is recalled`);
    expect(notice(recalled)).toContain("1 key has pulled it before");
    expect((await pull("library/nginx/manifests/1")).status).toBe(403);
  });
});

describe("access keys", () => {
  test("are narrowed and given a new value: what they open changes, and nothing else", async () => {
    await publish(mirror.docker, "library/nginx", "1");
    const made = text(await post("/_/owner/keys", { action: "key", name: "ci", rate: "600" }));
    const [, key = ""] = /<code>([a-z2-7]{32})<\/code>/.exec(made) ?? [];
    expect((await pull("library/nginx/manifests/1", key)).status).toBe(200);
    expect(text(await page("/_/owner/keys?key=ci"))).toMatch(/Change ci.*value="600"/s);
    const fields = { name: "ci", allow: "ghcr.io/*", deny: "ghcr.io/x/*", expires: "2999-01-31", rate: "60" };
    const narrowed = text(await post("/_/owner/keys", { action: "narrow", ...fields }));
    expect(notice(narrowed)).toBe("The key ci opens what you have set, within a minute.");
    expect((await mirror.services.managedKeys.list()).find(({ name }) => name === "ci")).toMatchObject({
      ...{
        allow: ["ghcr.io/*"],
        deny: ["ghcr.io/x/*"],
        rate: 60,
        expires: expect.stringContaining("2999-01-31T23:59:59"),
      },
    });
    expect((await pull("library/nginx/manifests/1", key)).status).toBe(403);
    const rotated = text(await post("/_/owner/keys", { action: "rotate", name: "ci" }));
    expect(/<code>([a-z2-7]{32})<\/code>/.exec(rotated)?.[1]).not.toBe(key);
    expect((await pull("library/nginx/manifests/1", key)).status).toBe(401);
  });

  test.each([
    [{ allow: "$(x)" }, "must be a pattern"],
    [{ expires: "2001-01-01" }, "must lie in the future"],
    [{ expires: "soon" }, "the body is"],
    [{ rate: "-1" }, "rate"],
  ])("with %j aren't made, and the page says why", async (terms: Record<string, string>, reason) => {
    const response = await post("/_/owner/keys", { action: "key", name: "ci", ...terms });
    expect(response.status).toBe(400);
    expect(alert(text(response))).toContain(reason);
    expect((await mirror.services.managedKeys.list()).some(({ name }) => name === "ci")).toBe(false);
  });
});

describe("hosted repositories", () => {
  const client = localPusher(mirror);
  const push = async (repository: string, tag: string) => {
    const { key } = await mirror.services.managedKeys.make({ name: crypto.randomUUID(), push: ["hosted/*"] });
    return client.as(basic(key)).pushImage(repository, tag);
  };

  test("are listed with their tags; a tag, an image and a repository are deleted with the bytes that this frees", async () => {
    await push("hosted/team/app", "1");
    await push("hosted/team/app", "2");
    const path = "/_/owner/hosted?repository=team%2Fapp";
    expect(text(await page("/_/owner/hosted"))).toContain(`href="${path}"`);
    const listed = text(await page(path));
    expect(listed).toMatch(/hosted\/team\/app:1".*hosted\/team\/app:2"/s);
    expect(notice(text(await post(path, { action: "untag", tag: "1" })))).toMatch(
      /^hosted\/team\/app:1 is deleted: 1 tags, 0 manifests\. Garbage collection frees [1-9]\d* B within two days\.$/,
    );
    const digest = /name="digest" value="(sha256:[0-9a-f]{64})"/.exec(text(await page(path)))?.[1] ?? "";
    expect(notice(text(await post(path, { action: "delete", digest })))).toContain("1 tags, 1 manifests");
    const unsure = await post(path, { action: "delete-repository" });
    expect([unsure.status, alert(text(unsure))]).toEqual([
      400,
      "That wasn’t done: confirm that the repository is to be deleted.",
    ]);
    const deleted = text(await post(path, { action: "delete-repository", sure: "yes" }));
    expect(notice(deleted)).toContain("hosted/team/app is deleted");
    expect(text(await page("/_/owner/hosted"))).toContain("There is none yet");
    expect((await post(path, { action: "delete-repository", sure: "yes" })).status).toBe(404);
  });

  test("that are immutable offer no deletion, and refuse it", async () => {
    const { digest } = await push("hosted/release/app", "1");
    const path = "/_/owner/hosted?repository=release%2Fapp";
    expect(text(await page(path))).not.toContain('value="untag"');
    for (const fields of [
      { action: "untag", tag: "1" },
      { action: "delete", digest },
      { action: "delete-repository", sure: "yes" },
    ])
      expect((await post(path, fields)).status).toBe(403);
    expect(await mirror.services.hostedRecords.count()).toMatchObject({ tags: 1, manifests: 1 });
  });

  test("show what garbage collection would free, and what it has", async () => {
    await push("hosted/team/app", "1");
    await post("/_/owner/hosted?repository=team%2Fapp", { action: "untag", tag: "1" });
    expect(text(await page("/_/owner/hosted"))).toMatch(/A run would free 0 B now.*[1-9]\d* B more wait/s);
    for (let run = 0; run < 3; run++) {
      mirror.clock.ahead += DAY + 1000;
      await signIn();
      await post("/_/owner/hosted", { action: "gc" });
    }
    expect(await mirror.services.hostedRecords.count()).toMatchObject({ repositories: 0, bytes: 0 });
  });
});

test("errors come with the paragraph of the documentation that helps, in the reader's language", async () => {
  const traffic = [{ upstream: "docker.io", kind: "blob", served: "", status: 429, requests: 2, bytes: 0 }];
  await mirror.services.ledger.add({ traffic }, mirror.services.now());
  expect(text(await page())).toContain(
    'href="https://docs.example.com/portolan/upstreams.md#credentials-and-rate-limits"',
  );
  expect(text(await page("/_/owner?lang=zh"))).toContain(
    `href="https://docs.example.com/portolan/zh/upstreams.md#${encodeURIComponent("上游账号与限流")}"`,
  );
});

test("a free quota that is nearly used is named, with what stops until the day is over", async () => {
  mirror.services.hasQuotas = true;
  expect(text(await page())).not.toContain("Nine tenths");
  const operations = [{ operation: "kvWrites", count: 900 }] as const;
  await mirror.services.ledger.add({ operations }, mirror.services.now());
  expect(text(await page())).toContain("Nine tenths of today’s free writes of KV are used.");
  expect(text(await page("/_/owner?lang=zh"))).toContain("今天的免费额度已用掉九成：KV 写入。");
});

describe("a summary for everyone", () => {
  const traffic = [
    { upstream: "docker.io", kind: "blob", served: "store", status: 200, requests: 3, bytes: 3_000_000 },
    { upstream: "docker.io", kind: "blob", served: "upstream", status: 200, requests: 1, bytes: 1_000_000 },
  ];
  const html = async () => text(await page("/", {}));

  test("isn't shown unless it is configured", async () => {
    await mirror.services.ledger.add({ traffic }, mirror.services.now());
    expect(await html()).not.toContain("The last 30 days");
  });

  test("has sums, and no name of a repository, an upstream's traffic or a key", async () => {
    mirror.bindings = Object.assign(mirror.bindings, { PUBLIC_SUMMARY: true });
    mirror.newIsolate();
    const uses = [{ digest: `sha256:${"a".repeat(64)}` as never, source: "ghcr.io/secret/app" }];
    await mirror.services.ledger.add({ traffic, uses }, mirror.services.now());
    const shown = await html();
    expect(shown).toMatch(/The last 30 days.*75 %.*3\.0 MB/s);
    expect(shown).not.toMatch(/secret|laptop/);
    // Visitors cost the ledger nothing.
    const read = vi.spyOn(Ledger.prototype, "since");
    await html();
    expect(read).not.toHaveBeenCalled();
  });
});
