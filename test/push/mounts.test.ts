/** Mounts from mirrored repositories: stored content becomes hosted without an upload. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { localPusher } from "./support.ts";

const mirror = useMirror({ LOOPBACK: true, HOSTED_QUOTA: { "hosted/small/*": "10 kB" } });
const LAYER = patternBytes(20_000, 5);
let image: Image;
let digest: string;
const client = localPusher(mirror);

beforeEach(async () => {
  image = await mirror.docker.addImage("library/alpine", "latest", { layers: [LAYER] });
  digest = image.layers[0]?.digest ?? "";
});

const pull = (path: string) => client.send("GET", path);
const mount = (query: string, to = "hosted/team/app") =>
  client.send("POST", `/v2/${to}/blobs/uploads/?mount=${digest}${query}`);

describe("a mount from a mirrored repository", () => {
  test.each(["docker.io/library/alpine", "library/alpine", "docker.io/alpine"])(
    "%s copies what is stored, and requests nothing from upstream",
    async (from) => {
      await pull(`/v2/docker.io/library/alpine/blobs/${digest}`);
      mirror.docker.reset();
      const response = await mount(`&from=${from}`);
      expect([response.status, response.headers.get("Location")]).toEqual([
        201,
        `/v2/hosted/team/app/blobs/${digest}`,
      ]);
      expect(mirror.docker.requests).toEqual([]);
      const pulled = await pull(`/v2/hosted/team/app/blobs/${digest}`);
      expect([pulled.status, pulled.bytes]).toEqual([200, LAYER]);
    },
  );

  test("keeps the blob when the cached one is evicted", async () => {
    await pull(`/v2/docker.io/library/alpine/blobs/${digest}`);
    await mount("&from=docker.io/library/alpine");
    await mirror.services.store.delete((await mirror.stored()).filter((key) => key.startsWith("blobs/")));
    expect((await pull(`/v2/hosted/team/app/blobs/${digest}`)).bytes).toEqual(LAYER);
  });

  test("starts an upload for what isn't stored, and fetches nothing", async () => {
    expect((await mount("&from=docker.io/library/alpine")).status).toBe(202);
    expect(mirror.docker.requests).toEqual([]);
    expect(await mirror.stored()).toEqual([]);
  });

  test.each([
    "",
    "&from=docker.io/library/alpine&origin=docker.io",
    "&from=nowhere.test/library/alpine",
    "&from=docker.io/library/alpine/../alpine",
    "&from=docker.io",
    "&from=library/alpine?ns=docker.io",
    "&from=https://docker.io/library/alpine",
    `&from=docker.io/library/alpine/blobs/sha256:${"0".repeat(64)}`,
  ])("%s starts an upload", async (query) => {
    await pull(`/v2/docker.io/library/alpine/blobs/${digest}`);
    expect((await mount(query)).status).toBe(202);
    expect((await pull(`/v2/hosted/team/app/blobs/${digest}`)).status).toBe(404);
  });

  test("starts an upload while the store fails", async () => {
    await pull(`/v2/docker.io/library/alpine/blobs/${digest}`);
    mirror.outage("STORE", "put");
    expect((await mount("&from=docker.io/library/alpine")).status).toBe(202);
  });

  test("is refused above the quota", async () => {
    await pull(`/v2/docker.io/library/alpine/blobs/${digest}`);
    expect((await mount("&from=docker.io/library/alpine", "hosted/small/app")).status).toBe(403);
    expect((await pull(`/v2/hosted/small/app/blobs/${digest}`)).status).toBe(404);
  });
});
