/** Identities: content for the operator or a user is fetched from the primary only. */
import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/upstream/request.ts";
import { createClient, DIGEST, stub, upstreamOf } from "./support.ts";

const ENDPOINTS = ["https://registry.test", "https://fallback.test/below"];
const OPERATOR: Identity = { kind: "operator" };
const USER: Identity = { kind: "user", authorization: "Bearer of-a-user" };

describe.each([
  ["user", USER],
  ["operator", OPERATOR],
])("a request with the identity %s", (_, identity) => {
  test("isn't sent to a fallback, not even by digest, not even when the primary fails", async () => {
    const { fetch, requested } = stub(() => new Response(null, { status: 500 }));
    const { request } = createClient(fetch, Date.now, [{ username: "owner", password: "hunter2" }]);
    for (const path of [`blobs/${DIGEST}`, `manifests/${DIGEST}`, "manifests/latest"]) {
      const upstream = upstreamOf({ endpoints: ENDPOINTS });
      await expect(request({ upstream, path, identity })).rejects.toMatchObject({
        failure: { kind: "unavailable" },
      });
    }
    expect(requested.length).toBeGreaterThan(0);
    for (const { url } of requested) expect(new URL(url).host).toBe("registry.test");
  });
});

test("a user's Authorization is sent unchanged, and never to storage", async () => {
  const { fetch, requested } = stub(({ url }) =>
    url.includes("storage.test")
      ? new Response("blob")
      : new Response(null, { status: 307, headers: { Location: "https://storage.test/blob" } }),
  );
  const { request } = createClient(fetch);
  expect((await request({ path: `blobs/${DIGEST}`, identity: USER })).status).toBe(200);
  const sent = requested.map(({ url, headers }) => [new URL(url).host, headers.get("Authorization")]);
  expect(sent).toEqual([
    ["registry.test", "Bearer of-a-user"],
    ["storage.test", null],
  ]);
});
