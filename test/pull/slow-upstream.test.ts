/** An upstream that doesn't respond in time. */
import { expect, test } from "vitest";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror({ TIMING: { upstream: { timeOut: 300 } } });

test("has the tag served stale", async () => {
  const image = await mirror.docker.addImage("library/demo", "latest");
  const digests = [...image.manifests, ...image.configs, ...image.layers].map(({ digest }) => digest);
  for (const path of [
    "manifests/latest",
    `manifests/${digests[0]}`,
    ...digests.slice(1).map((digest) => `blobs/${digest}`),
  ]) {
    await mirror.request(`/v2/library/demo/${path}`);
  }
  mirror.clock.ahead += 3_600_000;
  mirror.newIsolate();
  mirror.docker.fail({ kind: "manifest" }, { delay: 60_000 });
  const response = await mirror.request("/v2/library/demo/manifests/latest");
  expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([
    200,
    image.target.digest,
  ]);
  expect(response.headers.get("Warning")).toContain("doesn't respond");
});
