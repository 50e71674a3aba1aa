/** As whom upstream is asked, and who then isn't: what is the operator's or a user's alone is the authority's alone to give. */
import { describe, expect, test } from "vitest";
import type { Authority } from "../../src/upstream/question.ts";
import { createAsker, DIGEST, stub, upstreamOf } from "./asking.ts";

const ENDPOINTS = ["https://registry.test", "https://alternate.test/below"];
const OWNER: Authority = { kind: "owner" };
const CALLER: Authority = { kind: "caller", authorization: "Bearer of-a-user" };

describe.each([
  ["a user's", CALLER],
  ["the operator's", OWNER],
])("what is %s", (_, authority) => {
  test("isn't asked of an alternate, also by digest, and also when the authority fails", async () => {
    const { fetch, asked } = stub(() => new Response(null, { status: 500 }));
    const { ask } = createAsker(fetch, Date.now, [{ username: "owner", password: "hunter2" }]);
    for (const path of [`blobs/${DIGEST}`, `manifests/${DIGEST}`, "manifests/latest"]) {
      const upstream = upstreamOf({ endpoints: ENDPOINTS });
      await expect(ask({ upstream, path, authority })).rejects.toMatchObject({
        failure: { kind: "unavailable" },
      });
    }
    expect(asked.length).toBeGreaterThan(0);
    for (const { url } of asked) expect(new URL(url).host).toBe("registry.test");
  });
});

test("a user's Authorization is sent as it came, and never followed to storage", async () => {
  const { fetch, asked } = stub(({ url }) =>
    url.includes("storage.test")
      ? new Response("blob")
      : new Response(null, { status: 307, headers: { Location: "https://storage.test/blob" } }),
  );
  const { ask } = createAsker(fetch);
  expect((await ask({ path: `blobs/${DIGEST}`, authority: CALLER })).status).toBe(200);
  const shown = asked.map(({ url, headers }) => [new URL(url).host, headers.get("Authorization")]);
  expect(shown).toEqual([
    ["registry.test", "Bearer of-a-user"],
    ["storage.test", null],
  ]);
});
