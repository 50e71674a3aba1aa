/** Hosted images as a tar, and what saving them says of other repositories' content. */
import { describe, expect, test, vi } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import { HostedRecords } from "../../src/index.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { basic, KEYED } from "../access/keyed.ts";
import { encode, imageManifest, localPusher, Pusher } from "../push/support.ts";
import { useMirror } from "../support/mirror.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const OWNER = "o".repeat(32);
const STRANGER = "x".repeat(32);
const rights = (repositories: string) => ({ allow: [repositories], push: [repositories] });
const ACCESS_KEYS = JSON.stringify([
  { name: "owner", hash: await hashKey(OWNER), ...rights("hosted/team/*") },
  { name: "stranger", hash: await hashKey(STRANGER), ...rights("hosted/other/*") },
]);

describe("on loopback", () => {
  const mirror = useMirror({ LOOPBACK: true });

  test("a hosted image is saved under the mirror's name, any part of it too", async () => {
    const client = localPusher(mirror);
    const { layer, bytes } = await client.pushImage("hosted/team/app", "1.0");
    const save = (headers = {}) =>
      mirror.request("/_/save/hosted/team/app:1.0", { host: "localhost", headers });
    const { status, bytes: tar } = await save();
    expect(status).toBe(200);
    for (const content of [layer.bytes, bytes]) expect(text(tar)).toContain(text(content));
    expect(text(tar)).toContain('"RepoTags":["localhost/hosted/team/app:1.0"]');
    const part = await save({ Range: "bytes=300-2000" });
    expect([part.status, part.bytes]).toEqual([206, tar.slice(300, 2001)]);
  });
});

describe("on a mirror with keys", () => {
  const mirror = useMirror({ ...KEYED, HOSTED_SPARSE: true, ACCESS_KEYS });

  test.each([
    ["a layer", "application/vnd.oci.image.layer.v1.tar"],
    ["a layer that mustn't be distributed", "application/vnd.oci.image.layer.nondistributable.v1.tar"],
  ])("%s of a repository that a key may not read is as one that isn't stored", async (_, mediaType) => {
    const { layer } = await new Pusher(mirror, basic(OWNER)).pushImage("hosted/team/app", "1.0");
    const stranger = new Pusher(mirror, basic(STRANGER));
    const config = await stranger.pushBlob("hosted/other/app", encode({ os: "linux" }));
    const said = async (digest: string) => {
      const manifest = { ...imageManifest(config, []), layers: [{ mediaType, digest, size: 10 }] };
      expect((await stranger.putManifest("hosted/other/app", "1", manifest)).status).toBe(201);
      const headers = basic(STRANGER);
      const response = await mirror.request("/_/save/hosted/other/app:1", { headers });
      return [response.status, text(response.bytes).replaceAll(digest, "DIGEST")];
    };
    expect(await said(layer.digest)).toEqual(await said(await digestOf(encode({ nowhere: true }))));
  });
});

describe("on Cloudflare", () => {
  const mirror = useMirror({ LOOPBACK: true, VERSION: { id: "1" } });

  /** Pushes an image whose layers differ, and saves it. */
  async function save(count: number) {
    const client = localPusher(mirror);
    const layers = [];
    for (let at = 0; at < count; at++) {
      layers.push(await client.pushBlob("hosted/team/app", encode({ at })));
    }
    const config = await client.pushBlob("hosted/team/app", encode({ os: "linux" }));
    expect((await client.putManifest("hosted/team/app", "1", imageManifest(config, layers))).status).toBe(
      201,
    );
    return mirror.request("/_/save/hosted/team/app:1", { host: "localhost" });
  }

  test("a hosted image of as many blobs as one request may look up is saved, a larger one refused", async () => {
    expect((await save(29)).status).toBe(200);
    const { status, bytes } = await save(30);
    expect([status, text(bytes)]).toEqual([404, expect.stringContaining("could be looked up here")]);
  });

  test("a layer that can't be looked up isn't called missing", async () => {
    const response = await save(1);
    expect(response.status).toBe(200);
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(HostedRecords.prototype, "findBlob").mockRejectedValue(new Error("out of order"));
    const { bytes } = await mirror.request("/_/save/hosted/team/app:1", { host: "localhost" });
    expect(text(bytes)).not.toContain("isn't stored");
    expect(text(bytes)).toContain("could be looked up here");
  });
});
