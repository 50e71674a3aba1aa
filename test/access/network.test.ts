/** Behind keys, registries within the operator's network are private: a key permits those its patterns name. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  createFakeNetwork,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
  patternBytes,
  profiles,
} from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { basic, KEY, KEYED, NARROW } from "./keyed.ts";

const HOST = "registry.corp.internal";
const mirror = useMirror({ ...KEYED, UPSTREAMS: { corp: { endpoints: [`https://${HOST}`] } } });
let corp: FakeRegistry;
let image: Image;

beforeEach(async () => {
  corp = createFakeRegistry({
    ...profiles["ghcr.io"],
    registryHost: HOST,
    tokenHost: HOST,
    redirect: "none",
  });
  image = await corp.addImage("team/app", "latest", { layers: [patternBytes(500, 3)] });
  vi.stubGlobal("fetch", createFakeNetwork(mirror.docker, mirror.ghcr, corp).fetch);
});

const rest = () => [
  "manifests/latest",
  `manifests/${image.target.digest}`,
  `blobs/${image.configs[0]?.digest}`,
  `blobs/${image.layers[0]?.digest}`,
];
const status = async (path: string, key: string, method = "GET") =>
  (await mirror.request(path, { method, headers: basic(key) })).status;

describe("a registry within the network that requires no login", () => {
  test("is served to a key that permits it, and stored apart from public content", async () => {
    for (let round = 0; round < 2; round++) {
      for (const path of rest())
        expect([path, await status(`/v2/corp/team/app/${path}`, KEY)]).toEqual([path, 200]);
    }
    for (const key of await mirror.stored()) expect(key).toMatch(/^(private|links)\//);
  });

  test("can't be read by digest through the repositories that a narrow key permits", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    for (const path of rest()) await status(`/v2/corp/team/app/${path}`, KEY);
    for (const isNew of [false, true]) {
      if (isNew) mirror.newIsolate();
      for (const path of rest()) {
        for (const method of ["GET", "HEAD"]) {
          expect(await status(`/v2/corp/team/app/${path}`, NARROW, method)).toBe(403);
          if (!path.endsWith("latest"))
            expect(await status(`/v2/library/demo/${path}`, NARROW, method)).toBe(404);
        }
      }
    }
  });

  test("is served while it is down to keys that permit it", async () => {
    for (const path of rest()) await status(`/v2/corp/team/app/${path}`, KEY);
    corp.fail({ path: /./ }, { status: 503 });
    mirror.clock.ahead += 6 * 60_000;
    mirror.newIsolate();
    for (const path of rest()) expect(await status(`/v2/corp/team/app/${path}`, KEY)).toBe(200);
  });
});
