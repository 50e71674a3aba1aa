/** Response headers of blobs, by registry. */
import { expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { EMPTY_DIGEST } from "../../src/oci/digest.ts";
import { blobHeaders } from "../../src/pull/response.ts";
import { route } from "../../src/route.ts";

test.each([
  { upstream: "registry.ollama.ai", location: `./${EMPTY_DIGEST}` },
  { upstream: "ghcr.io", location: undefined },
])("a Location that names the blob itself is sent for $upstream: $location", ({ upstream, location }) => {
  const url = new URL(`https://mirror.test/v2/${upstream}/library/demo/blobs/${EMPTY_DIGEST}`);
  const routed = route(url, readConfig({ ACCESS: "open" }));
  if (routed.kind !== "target") throw new Error("this is no pull");
  const pull = { target: routed.target, details: { servedBy: null } };
  expect(blobHeaders(pull, EMPTY_DIGEST, { servedBy: "store" }).Location).toBe(location);
});
