/** What a mirror serves: ALLOW and DENY apply to every client and every kind of request. */
import { beforeEach, expect, test } from "vitest";
import type { Image } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror({
  DOMAIN: "example.com",
  ALLOW: ["docker.io/library/*", "ghcr.io/owner/*"],
  DENY: ["docker.io/library/secret"],
});
let image: Image;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
  for (const name of ["library/secret", "owner/demo"]) await mirror.docker.addImage(name, "latest");
  await mirror.ghcr.addImage("owner/demo", "latest");
});

function everything(repository: string): string[] {
  const { digest } = image.target;
  const layer = image.layers[0]?.digest;
  return [
    "manifests/latest",
    `manifests/${digest}`,
    `blobs/${layer}`,
    "tags/list",
    `referrers/${digest}`,
  ].map((rest) => `${repository}/${rest}`);
}

test("what ALLOW names is served, in every shape of request", async () => {
  for (const path of everything("/v2/library/demo")) {
    expect([path, (await mirror.request(path)).status]).toEqual([path, 200]);
  }
  for (const path of ["/v2/ghcr.io/owner/demo", "/ghcr.io/v2/owner/demo"]) {
    expect((await mirror.request(`${path}/manifests/latest`)).status).toBe(200);
  }
});

test.each([
  ["what ALLOW doesn't name", "/v2/owner/demo", "mirror.test"],
  ["what ALLOW doesn't name, by host", "/v2/owner/demo", "docker.example.com"],
  ["another upstream", "/v2/quay.io/library/demo", "mirror.test"],
  ["what DENY names", "/v2/library/secret", "mirror.test"],
  ["what DENY names, by its short name", "/v2/secret", "mirror.test"],
  ["what DENY names, by an alias of its upstream", "/v2/index.docker.io/library/secret", "mirror.test"],
  ["what DENY names, with hyphens", "/v2/docker-io/library/secret", "mirror.test"],
  ["what DENY names, before v2", "/docker.io/v2/library/secret", "mirror.test"],
])("%s is denied, stored or not, and no upstream is requested", async (_, repository, host) => {
  for (const path of everything("/v2/library/demo")) await mirror.request(path);
  mirror.docker.reset();
  for (const path of everything(repository)) {
    for (const method of ["GET", "HEAD"]) {
      const response = await mirror.request(path, { host, method });
      expect([path, method, response.status]).toEqual([path, method, 403]);
      if (method === "GET") expect(response.json()).toMatchObject({ errors: [{ code: "DENIED" }] });
    }
  }
  expect(mirror.docker.requests).toEqual([]);
  expect(mirror.network.strays).toEqual([]);
});
