/** Signing in on the pages. */
import { describe, expect, test, vi } from "vitest";
import { ownPath } from "../../src/web/session-page.tsx";
import { EXPIRED, KEY, KEYED, UNKNOWN } from "../access/keyed.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "admin-key-of-32-characters-or-so!";

describe("signing in", () => {
  const mirror = useMirror({ ...KEYED, ADMIN_KEY });
  const post = (fields: Record<string, string>, headers: Record<string, string> = {}) => {
    const body = new URLSearchParams(fields).toString();
    return mirror.request("/_/session", {
      method: "POST",
      body,
      headers: {
        ...{
          Origin: "https://mirror.test",
          "Content-Length": String(body.length),
          "CF-Connecting-IP": "192.0.2.1",
        },
        ...headers,
      },
    });
  };

  test("leaves a cookie that no script reads, no other site sends and no other host has set", async () => {
    for (const key of [KEY, ADMIN_KEY]) {
      const response = await post({ key, next: "/_/image/a/b" });
      expect([response.status, response.headers.get("Location")]).toEqual([303, "/_/image/a/b"]);
      const [cookie = ""] = response.headers.getSetCookie();
      expect(cookie).toMatch(
        /^__Host-portolan-(key|owner)=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
      );
      expect(cookie).not.toContain(key);
    }
  });

  test.each([UNKNOWN, EXPIRED, "", `${ADMIN_KEY}x`, ADMIN_KEY.slice(1)])(
    "is refused with %j",
    async (key) => {
      const response = await post({ key });
      expect(response.status).toBe(401);
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(response.headers.get("WWW-Authenticate")).toBeNull();
    },
  );

  test.each<[string, Record<string, string>]>([
    ["another site", { Origin: "https://evil.test" }],
    ["a neighbouring host", { Origin: "https://other.mirror.test" }],
    ["an opaque origin", { Origin: "null" }],
    ["no origin at all", { Origin: "" }],
    ["another site, as the browser says", { "Sec-Fetch-Site": "same-site" }],
  ])("is refused from %s", async (_, headers) => {
    const response = await post({ key: KEY }, headers);
    expect(response.status).toBe(403);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("is limited by the address after many wrong keys, and for no other address", async () => {
    // Time would bring further attempts.
    const now = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(now);
    for (let at = 0; at < 20; at++) expect((await post({ key: UNKNOWN })).status).toBe(401);
    const refused = await post({ key: KEY });
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([
      429,
      expect.stringMatching(/^\d+$/),
    ]);
    expect((await post({ key: KEY }, { "CF-Connecting-IP": "192.0.2.2" })).status).toBe(303);
    clock.mockReturnValue(now + 60_000);
    expect((await post({ key: KEY })).status).toBe(303);
  });

  test("is undone by signing out", async () => {
    const page = async (cookie: string) => {
      const { bytes } = await mirror.request("/_/session", {
        headers: { Accept: "text/html", Cookie: cookie },
      });
      return new TextDecoder().decode(bytes);
    };
    for (const key of [KEY, ADMIN_KEY]) {
      const [cookie = ""] = (await post({ key })).headers.getSetCookie();
      expect(await page(cookie.split(";")[0] ?? "")).toContain('name="out"');
    }
    expect(await page("")).not.toContain('name="out"');
    const response = await post({ out: "" });
    expect(response.headers.getSetCookie().every((cookie) => /Max-Age=0/.test(cookie))).toBe(true);
    expect(response.headers.getSetCookie()).toHaveLength(2);
  });

  test("takes no large form", async () => {
    expect((await post({ key: "a".repeat(5000) })).status).toBe(413);
  });
});

test.each([
  ["/_/image/a:1?check", "/_/image/a:1?check"],
  ["//evil.test/_/", "/"],
  ["https://evil.test/_/", "/"],
  ["/\\evil.test/_/", "/"],
  ["javascript:alert(1)", "/"],
  ["/v2/", "/"],
  ["/_/../v2/", "/"],
  [null, "/"],
])("after signing in, %j leads to %j", (next, expected) => {
  expect(ownPath(next)).toBe(expected);
});

describe("where one secret is both ADMIN_KEY and SIGNING_SECRET", () => {
  const mirror = useMirror({ ...KEYED, ADMIN_KEY, SIGNING_SECRET: ADMIN_KEY });
  const signInWith = async (key: string) => {
    const body = new URLSearchParams({ key }).toString();
    const headers = { Origin: "https://mirror.test", "Content-Length": String(body.length) };
    const response = await mirror.request("/_/session", { method: "POST", body, headers });
    return /=([\w.-]+);/.exec(response.headers.getSetCookie()[0] ?? "")?.[1];
  };
  const ownerPage = async (token: string | undefined) =>
    (await mirror.request("/_/owner", { headers: { Cookie: `__Host-portolan-owner=${token}` } })).status;

  test("the session of an access key is none of the owner's", async () => {
    expect(await ownerPage(await signInWith(ADMIN_KEY))).toBe(200);
    expect(await ownerPage(await signInWith(KEY))).toBe(303);
  });
});
