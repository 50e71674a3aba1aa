/** The page of an image: what it shows, whence it has it, and to whom. */
import { beforeEach, describe, expect, test } from "vitest";
import { KEY, KEYED, NARROW } from "../access/keyed.ts";
import { type MirrorResponse, type TestMirror, useMirror } from "../support/mirror.ts";
import { publish } from "./support.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
/** Of `{}`. */
const EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const HTML = { Accept: "text/html" };

function text({ bytes }: MirrorResponse): string {
  return new TextDecoder().decode(bytes);
}

/** @returns the cookie of a visitor who has signed in. */
async function signedIn(mirror: TestMirror, key: string): Promise<string> {
  const response = await mirror.request("/_/session", {
    method: "POST",
    body: new URLSearchParams({ key, next: "/_/image/nginx" }).toString(),
    headers: { Origin: "https://mirror.test", "Content-Length": "80" },
  });
  expect([response.status, response.headers.get("Location")]).toEqual([303, "/_/image/nginx"]);
  return response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
}

describe("on an open mirror", () => {
  const mirror = useMirror();
  const page = (path: string) => mirror.request(path, { headers: HTML });

  test("shows an image whose platform has a name that is no Unicode text", async () => {
    const { digest } = await publish(mirror.docker, "library/odd", "plain");
    const platform = { os: "linux", architecture: "\ud800" };
    const manifests = [{ mediaType: INDEX, digest, size: 1, platform }];
    const added = await mirror.docker.addManifest("library/odd", {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests,
    });
    mirror.docker.moveTag("library/odd", "odd", added.digest);
    expect((await page("/_/image/docker.io/library/odd:odd")).status).toBe(200);
  });

  test("shows platforms, layers with their sizes and steps, the config, tags and digests", async () => {
    const { digest, layers } = await publish(mirror.docker, "library/nginx", "1.27");
    mirror.docker.moveTag("library/nginx", "stable", digest);
    const response = await page("/_/image/docker.io/library/nginx:1.27");
    expect(response.status).toBe(200);
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    const html = text(response);
    for (const shown of [
      digest,
      "docker pull mirror.test/docker.io/library/nginx:1.27",
      "linux/arm64",
      "3.9 kB in 3 layers",
      "ADD file:0123 in /",
      "RUN apt-get update &amp;&amp; apt-get install -y nginx<",
      "2026-11-01 10:00 UTC",
      "NGINX_VERSION=1.27",
      "80/tcp",
      "&lt;script&gt;alert(1)&lt;/script&gt;",
      'href="/_/image/docker.io/library/nginx:stable"',
      layers[0]?.digest ?? "",
    ]) {
      expect(html).toContain(shown);
    }
    expect(html).not.toContain("<script>alert");
    expect(html.match(/<rect [^>]*height="40"/g)).toHaveLength(3);
  });

  test("shows the platform that was chosen", async () => {
    await publish(mirror.docker, "library/nginx", "1.27");
    const html = text(await page("/_/image/docker.io/library/nginx:1.27?platform=linux%2Farm64"));
    expect(html).toMatch(/aria-current="true">linux\/arm64</);
  });

  test("fetches no layer, and says which are stored", async () => {
    const { layers } = await publish(mirror.docker, "library/nginx", "1.27");
    expect(text(await page("/_/image/docker.io/library/nginx:1.27"))).toContain(
      "0 B of 3.9 kB are stored here",
    );
    const fetched = mirror.docker.requests.filter(({ path }) =>
      layers.some(({ digest }) => path.includes(digest)),
    );
    expect(fetched).toEqual([]);
    await mirror.request(`/v2/library/nginx/blobs/${layers[0]?.digest}`);
    expect(text(await page("/_/image/docker.io/library/nginx:1.27"))).toContain(
      "3.0 kB of 3.9 kB are stored here",
    );
  });

  test("compares with the publisher at once, whatever is stored", async () => {
    const first = await publish(mirror.docker, "library/nginx", "1.27");
    const at = "/_/image/docker.io/library/nginx:1.27";
    expect(text(await page(`${at}?check`))).toContain("has the same digest under this tag right now");
    const second = await publish(mirror.docker, "library/nginx", "1.27", [10, 20, 30]);
    const html = text(await page(`${at}?check`));
    expect(html).toContain(first.digest);
    expect(html).toContain(`names another digest now: ${second.digest}`);
    expect(text(await page(at))).not.toContain(second.digest);
  });

  test.each([
    ["nginx", "docker.io/library/nginx:latest"],
    ["docker.io/nginx:1", "docker.io/library/nginx:1"],
    ["mirror.test/ghcr.io/a/b:1", "ghcr.io/a/b:1"],
    ["ghcr.io/a/b%3A1", "ghcr.io/a/b:1"],
    ["hosted/app", "hosted/app:latest"],
  ])("has one address: %s", async (path, expected) => {
    const response = await page(`/_/image/${path}`);
    if (response.status === 303) expect(response.headers.get("Location")).toBe(`/_/image/${expected}`);
    else expect(path.replace("%3A", ":")).toBe(expected);
    expect(mirror.network.strays).toEqual([]);
  });

  test("is found by whatever names an image", async () => {
    const query = new URLSearchParams({ name: "docker pull https://hub.docker.com/_/nginx" });
    const response = await page(`/_/image?${query}`);
    expect(response.headers.get("Location")).toBe("/_/image/docker.io/library/nginx:latest");
    expect((await page("/_/image?name=%21%21")).status).toBe(400);
  });

  test.each([
    ["/_/image/ghcr.io/a/none:1", 404],
    ["/_/image/docker.io/library/none:1", 403],
    ["/_/image/registry.corp.test/a/b:1", 404],
    ["/_/image/localhost/a:1", 404],
    ["/_/image/../../etc/passwd", 404],
    ["/_/image/NGINX", 400],
    ["/_/image/", 400],
  ])("says in words what is wrong: %s", async (path, status) => {
    const response = await page(path);
    expect(response.status).toBe(status);
    if (path.startsWith("/_/image/..")) return;
    expect(response.headers.get("Content-Type")).toMatch(/^text\/html/);
    expect(text(response)).toContain("That didn’t work");
  });

  test("is shown without its tags while only they can't be read", async () => {
    const { digest } = await publish(mirror.docker, "library/nginx", "1.27");
    mirror.docker.fail({ kind: "tags" }, { status: 500 });
    const response = await page("/_/image/docker.io/library/nginx:1.27");
    expect(response.status).toBe(200);
    expect(text(response)).toContain(digest);
    expect(text(response)).toContain("couldn’t be read");
  });

  test("lists what refers to it, by the registry's list and by cosign's tag", async () => {
    const repository = "library/nginx";
    const { digest } = await publish(mirror.docker, repository, "1.27");
    const manifest = {
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", layers: [] },
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: EMPTY, size: 2 },
    };
    const sbom = { artifactType: "application/spdx+json", subject: { mediaType: INDEX, digest, size: 1 } };
    const referrer = await mirror.docker.addManifest(repository, { ...manifest, ...sbom });
    const signature = await mirror.docker.addManifest(repository, manifest);
    mirror.docker.moveTag(repository, `${digest.replace(":", "-")}.sig`, signature.digest);
    const html = text(await page("/_/image/docker.io/library/nginx:1.27"));
    expect(html).toContain("application/spdx+json");
    expect(html).toContain(referrer.digest.slice(0, 19));
    expect(html).toContain(signature.digest.slice(0, 19));
    expect(html).not.toContain("Nothing refers");
  });

  test("stays usable with 500 layers and 20,000 tags", async () => {
    const sizes = Array.from({ length: 500 }, (_, at) => at + 1);
    const { digest } = await publish(mirror.docker, "library/large", "1", sizes);
    for (let at = 0; at < 20_000; at++) mirror.docker.moveTag("library/large", `v${at}`, digest);
    const response = await page("/_/image/docker.io/library/large:1");
    expect(response.status).toBe(200);
    const html = text(response);
    expect(html.match(/class="made"/g)).toHaveLength(500);
    expect(html.match(/href="\/_\/image\/docker\.io\/library\/large:v/g)?.length).toBeLessThanOrEqual(200);
    const [, next = ""] = /href="([^"]+)#tags"/.exec(html) ?? [];
    const second = text(await page(next.replaceAll("&amp;", "&")));
    expect(second).toContain('href="/_/image/docker.io/library/large:v');
  });

  test("of a hostile image is no larger than that of a large one, whatever its lists have", async () => {
    const repository = "library/hostile";
    const { docker } = mirror;
    const fill = <Entry>(count: number, entry: Entry) => Array.from({ length: count }, () => entry);
    const steps = {
      history: fill(60_000, {}),
      config: {
        ...{ Env: fill(60_000, "a"), Cmd: fill(60_000, "b") },
        Labels: Object.fromEntries(fill(20_000, 0).map((_, at) => [`l${at}`, ""])),
      },
    };
    const bytes = new TextEncoder().encode(JSON.stringify(steps));
    const config = {
      mediaType: "application/vnd.oci.image.config.v1+json",
      ...(await docker.addBlob(bytes, { repository })),
    };
    const layer = { mediaType: "a/b", digest: config.digest, size: 1 };
    const image = await docker.addManifest(repository, {
      ...{ schemaVersion: 2, mediaType: MANIFEST, config },
      layers: fill(20_000, layer),
    });
    const entry = { mediaType: MANIFEST, digest: image.digest, size: image.size };
    const { digest } = await docker.addManifest(repository, {
      ...{ schemaVersion: 2, mediaType: INDEX },
      manifests: [
        ...fill(10_000, { ...entry, platform: { os: "a", architecture: "b" } }),
        { ...entry, platform: { os: "x".repeat(500_000), architecture: "b" } },
      ],
    });
    docker.moveTag(repository, "1", digest);
    const response = await page(`/_/image/docker.io/${repository}:1`);
    expect(response.status).toBe(200);
    expect(response.bytes.byteLength).toBeLessThan(2_000_000);
    expect(text(response)).toContain("19,000 more");
  });

  test("isn't opened from pages of other sites", async () => {
    const headers = { ...HTML, "Sec-Fetch-Site": "cross-site" };
    expect((await mirror.request("/_/image/docker.io/library/nginx:1.27", { headers })).status).toBe(403);
    expect(mirror.docker.requests).toEqual([]);
  });
});

describe("on a keyed mirror", () => {
  const mirror = useMirror(KEYED);
  const page = (path: string, cookie = "") => mirror.request(path, { headers: { ...HTML, Cookie: cookie } });
  beforeEach(async () => {
    await publish(mirror.docker, "library/nginx", "latest");
    await publish(mirror.docker, "library/secret", "latest");
  });

  test("a visitor without a key is asked to sign in, and nothing is requested for them", async () => {
    const response = await page("/_/image/docker.io/library/nginx:latest");
    expect([response.status, response.headers.get("Location")]).toEqual([
      303,
      "/_/session?next=%2F_%2Fimage%2Fdocker.io%2Flibrary%2Fnginx%3Alatest",
    ]);
    expect(mirror.docker.requests).toEqual([]);
    expect((await page("/_/image/docker.io/library/none:latest")).status).toBe(303);
  });

  test("a key's holder sees what it opens, and nothing else", async () => {
    const cookie = await signedIn(mirror, NARROW);
    expect((await page("/_/image/docker.io/library/nginx:latest", cookie)).status).toBe(200);
    expect((await page("/_/image/docker.io/library/secret:latest", cookie)).status).toBe(403);
    expect((await page("/_/image/ghcr.io/a/b:latest", cookie)).status).toBe(403);
  });

  test("a revoked key ends its sessions", async () => {
    const cookie = await signedIn(mirror, KEY);
    mirror.services.gate.replaceKeys([]);
    expect((await page("/_/image/docker.io/library/nginx:latest", cookie)).status).not.toBe(200);
  });

  test("a session ends after its time", async () => {
    const cookie = await signedIn(mirror, KEY);
    mirror.clock.ahead += 12 * 3600_000;
    expect((await page("/_/image/docker.io/library/nginx:latest", cookie)).status).toBe(303);
  });

  test("a session's cookie is no token of the registry, nor the other way round", async () => {
    const cookie = await signedIn(mirror, KEY);
    const token = cookie.slice(cookie.indexOf("=") + 1);
    const registry = await mirror.request("/v2/", { headers: { Authorization: `Bearer ${token}` } });
    expect(registry.status).toBe(401);
    const key = mirror.services.config.keys[0];
    if (!key) throw new Error("no key");
    for (const use of ["pull", "refresh"] as const) {
      const { token: pull } = await mirror.services.gate.tokens.issue(key, "mirror.test", use);
      const forged = `__Host-portolan-key=${pull}`;
      expect((await page("/_/image/docker.io/library/nginx:latest", forged)).status).toBe(303);
    }
  });
});
