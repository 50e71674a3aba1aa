/** The page at `/`, its files, and what scanners read. */
import { describe, expect, test } from "vitest";
import { PAGE_POLICY } from "../../src/access/browsers.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const HTML = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

function text({ bytes }: MirrorResponse): string {
  return new TextDecoder().decode(bytes);
}

describe("the page at /", () => {
  const mirror = useMirror({ OWNER: "Ada <b>&", CONTACT: "mailto:ada@example.com" });
  const page = (path = "/", headers: Record<string, string> = {}) =>
    mirror.request(path, { headers: { ...HTML, ...headers } });

  test("says what this is, whose, and the line to copy", async () => {
    const response = await page();
    expect([response.status, response.headers.get("Content-Type")]).toEqual([
      200,
      "text/html; charset=UTF-8",
    ]);
    const html = text(response);
    expect(html).toContain("<h1>mirror.test</h1>");
    expect(html).toContain("docker pull mirror.test/docker.io/library/alpine");
    expect(html).toContain("Ada &lt;b&gt;&amp;");
    expect(html).toContain('href="mailto:ada@example.com"');
    expect(html).not.toContain("docker login");
  });

  test("has a policy of its own, which allows nothing inline and nothing of other hosts", async () => {
    const { headers } = await page();
    expect(headers.get("Content-Security-Policy")).toBe(PAGE_POLICY);
    expect(PAGE_POLICY).not.toMatch(/unsafe|https?:|\*|data:/);
    expect(headers.get("X-Robots-Tag")).toBe("noindex");
    const html = text(await page());
    expect(html).not.toMatch(/<script(?![^>]*\ssrc="\/_\/page\/)|\son[a-z]+="|\sstyle="|<style/);
    expect([...html.matchAll(/(?:src|href)="(https?:)?\/\/[^"]*/g)]).toEqual([]);
  });

  test.each([
    ["zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"],
    ["zh-TW", "zh-CN"],
    ["en-US,en;q=0.9,zh;q=0.5", "en"],
    ["de", "en"],
    ["*", "en"],
    ["", "en"],
  ])("is in the browser's language: %j", async (header, language) => {
    expect(text(await page("/", { "Accept-Language": header }))).toContain(`<html lang="${language}"`);
  });

  test("remembers the language and the theme that were chosen", async () => {
    const response = await page("/?lang=zh&theme=dark&client=k3s");
    expect(text(response)).toContain('<html lang="zh-CN" data-theme="dark"');
    const cookies = response.headers.getSetCookie();
    expect(cookies).toEqual([
      "lang=zh; Max-Age=31536000; Path=/; Secure; SameSite=Lax",
      "theme=dark; Max-Age=31536000; Path=/; Secure; SameSite=Lax",
    ]);
    const cookie = cookies.map((each) => each.split(";")[0]).join("; ");
    expect(text(await page("/", { Cookie: cookie }))).toContain('<html lang="zh-CN" data-theme="dark"');
    expect((await page()).headers.getSetCookie()).toEqual([]);
  });

  test("takes no other language and theme than there are", async () => {
    const response = await page('/?lang="><script>&theme="><script>&client=__proto__');
    expect(text(response)).toContain('<html lang="en" data-theme="auto"');
    expect(text(response)).not.toContain("><script>");
    expect(response.headers.getSetCookie().join()).not.toContain("script");
  });

  test("shows a client's configuration for this host", async () => {
    expect(text(await page("/?client=docker"))).toContain("&quot;https://mirror.test&quot;");
    expect(text(await page("/?client=k3s"))).toContain("- https://mirror.test\n");
  });

  test("is plain text for what isn't a browser, and never the one in the place of the other", async () => {
    const response = await mirror.request("/", { headers: { "User-Agent": "scanner/1.0" } });
    expect([response.status, response.headers.get("Vary")]).toEqual([200, "Accept"]);
    expect(text(response)).toMatch(
      /^This is Portolan, .*\n\nIt is run by Ada <b>&\.\nContact: mailto:ada@example\.com\n/,
    );
    expect((await page()).headers.get("Vary")).toContain("Accept");
  });

  test("costs no upstream request and no look at the store", async () => {
    mirror.operations();
    await page();
    expect(Object.values(mirror.operations()).every((count) => count === 0)).toBe(true);
    expect(mirror.docker.requests).toEqual([]);
  });

  test("and its files weigh little", async () => {
    const html = text(await page());
    const files = [...html.matchAll(/(?:src|href)="(\/_\/page\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(files).toHaveLength(3);
    let bytes = html.length;
    for (const file of files) {
      const response = await mirror.request(file);
      expect([file, response.status]).toEqual([file, 200]);
      expect(response.headers.get("Cache-Control")).toBe("public, max-age=31536000, immutable");
      bytes += response.bytes.byteLength;
    }
    // Before any compression.
    expect(bytes).toBeLessThan(60 * 1024);
  });

  test("security.txt names the contact", async () => {
    const response = await mirror.request("/.well-known/security.txt");
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toMatch(/^text\/plain/);
    const [, expires = ""] = /^Contact: mailto:ada@example\.com\nExpires: (\S+)\n/.exec(text(response)) ?? [];
    expect(Date.parse(expires)).toBeGreaterThan(Date.now());
  });
});

describe("a mirror whose owner gives no contact", () => {
  const mirror = useMirror();

  test("has no security.txt", async () => {
    expect((await mirror.request("/.well-known/security.txt")).status).toBe(404);
  });
});

describe("the page of a keyed mirror", () => {
  const UPSTREAMS = { "registry.secret.test": {} };
  const mirror = useMirror({ ACCESS: "keys", UPSTREAMS, DOMAIN: "mirror.test" });

  test("tells a visitor no more than that it is closed, and none of the operator's own registries", async () => {
    const response = await mirror.request("/", { headers: HTML });
    expect(response.status).toBe(200);
    expect(text(response)).toContain("has no access keys yet");
    expect(text(response)).not.toContain("secret.test");
    expect(response.headers.get("WWW-Authenticate")).toBeNull();
  });

  test("doesn't show a key that stands in the host", async () => {
    const key = "abcdefghijklmnopqrstuvwxyz234567";
    const response = await mirror.request("/", { headers: HTML, host: `docker-${key}.mirror.test` });
    expect(text(response)).toContain("<h1>docker.mirror.test</h1>");
    expect(text(response)).not.toContain(key);
  });

  test("under an upstream's own host names images by the hosts", async () => {
    const response = await mirror.request("/", { headers: HTML, host: "ghcr.mirror.test" });
    expect(text(response)).toContain("docker pull docker.mirror.test/library/alpine");
  });
});
