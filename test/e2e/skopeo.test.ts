// skopeo copying through the mirror: one platform, then all of them, then with the upstream stopped.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { registriesConf } from "./support/configurations.ts";
import { partsOf } from "./support/layout.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { expectOneFetchEach, fetches, referenceOf } from "./support/pulls.ts";
import { type Skopeo, startSkopeo } from "./support/skopeo.ts";

describe("skopeo copy, ghcr.io by path", () => {
  const image = inject("image");
  const reference = referenceOf("ghcr.io");
  let stage: Stage;
  let skopeo: Skopeo;

  beforeAll(async () => {
    stage = await startStage(inject("registry"));
    skopeo = await startSkopeo(registriesConf("ghcr.io", `127.0.0.1:${stage.port}/ghcr.io`));
  });
  afterAll(async () => {
    await skopeo?.stop();
    await stage?.stop();
  });

  test("cold: one platform is copied byte for byte, each part fetched once", async () => {
    const { digest, blobs } = await skopeo.copy(reference, false);
    expect(digest).toBe(image.amd64.manifest.digest);
    expect(blobs).toEqual(partsOf(image.amd64).sort());
    await stage.settled();
    expectOneFetchEach(stage.upstreams["ghcr.io"], image);
  });

  test("all platforms: only what the first one did not share is fetched", async () => {
    await skopeo.clean();
    stage.forget();
    const { digest, blobs } = await skopeo.copy(reference, true);
    expect(digest).toBe(image.index.digest);
    const parts = new Set([image.index.digest, ...partsOf(image.amd64), ...partsOf(image.arm64)]);
    expect(blobs).toEqual([...parts].sort());
    await stage.settled();
    const { requests } = stage.upstreams["ghcr.io"];
    const stored = new Set(partsOf(image.amd64));
    const added = partsOf(image.arm64).filter((each) => !stored.has(each));
    expect({ ...fetches(requests, "manifest"), ...fetches(requests, "blob") }).toEqual(
      Object.fromEntries(added.map((each) => [each, 1])),
    );
  });

  test("upstream stopped: all platforms are copied again without it", async () => {
    await skopeo.clean();
    await stage.upstreams["ghcr.io"].stop();
    expect((await skopeo.copy(reference, true)).digest).toBe(image.index.digest);
  });
});
