/** Who may push, delete and read hosted repositories, and what a client may not find out through them. */
import { beforeEach, describe, expect, test } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { basic, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { Pusher } from "./support.ts";

const CI = "c".repeat(32);
const READER = "r".repeat(32);
const STRANGER = "x".repeat(32);

const mirror = useMirror({
  ...KEYED,
  ACCESS_KEYS: JSON.stringify([
    {
      name: "ci",
      hash: await hashKey(CI),
      push: ["hosted/team/*"],
      delete: ["hosted/team/tmp/*"],
      allow: ["docker.io/*"],
    },
    { name: "reader", hash: await hashKey(READER), allow: ["hosted/team/*"] },
    {
      name: "stranger",
      hash: await hashKey(STRANGER),
      allow: ["docker.io/*", "hosted/other/*"],
      push: ["hosted/other/*"],
    },
  ]),
});
const CONTENT = patternBytes(700, 3);
let digest: string;
const as = (key: string) => new Pusher(mirror, basic(key));

beforeEach(async () => {
  digest = await digestOf(CONTENT);
});

describe("a key", () => {
  test("pushes where it has the right to, reads that too, and pushes nowhere else", async () => {
    const image = await as(CI).pushImage("hosted/team/app", "1.0");
    expect((await as(CI).send("GET", "/v2/hosted/team/app/manifests/1.0")).bytes).toEqual(image.bytes);
    for (const repository of ["hosted/other/app", "hosted/team", "hosted/teams/app"]) {
      const refused = await as(CI).send("POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
        body: CONTENT,
      });
      expect([refused.status, JSON.stringify(refused.json())]).toEqual([
        403,
        expect.stringContaining("DENIED"),
      ]);
    }
    expect(await mirror.stored()).toHaveLength(3);
  });

  test("that may only read can neither push, nor delete, nor see uploads", async () => {
    const image = await as(CI).pushImage("hosted/team/app", "1.0");
    const upload = await as(CI).startUpload("hosted/team/app");
    const path = "/v2/hosted/team/app";
    expect((await as(READER).send("GET", `${path}/manifests/1.0`)).status).toBe(200);
    for (const [method, target] of [
      ["POST", `${path}/blobs/uploads/`],
      ["GET", upload],
      ["PATCH", upload],
      ["PUT", `${upload}?digest=${digest}`],
      ["DELETE", upload],
      ["PUT", `${path}/manifests/1.0`],
      ["DELETE", `${path}/manifests/1.0`],
      ["DELETE", `${path}/blobs/${image.layer.digest}`],
    ] as const) {
      const body = method === "PATCH" || method === "PUT" ? CONTENT : null;
      expect((await as(READER).send(method, target, { body })).status, `${method} ${target}`).toBe(403);
    }
  });

  test("deletes only where it has that right", async () => {
    await as(CI).pushImage("hosted/team/tmp/app", "1.0");
    await as(CI).pushImage("hosted/team/app", "1.0");
    expect((await as(CI).send("DELETE", "/v2/hosted/team/tmp/app/manifests/1.0")).status).toBe(202);
    expect((await as(CI).send("DELETE", "/v2/hosted/team/app/manifests/1.0")).status).toBe(403);
  });

  test("lists only the repositories that it may read", async () => {
    await as(CI).pushImage("hosted/team/app", "1.0");
    await as(STRANGER).pushImage("hosted/other/app", "1.0");
    expect((await as(STRANGER).send("GET", "/v2/_catalog")).json().repositories).toEqual([
      "hosted/other/app",
    ]);
    expect((await as(READER).send("GET", "/v2/_catalog")).json().repositories).toEqual(["hosted/team/app"]);
  });
});

describe("another's content", () => {
  test("isn't had by its digest: not through another repository, a mount, or the mirror", async () => {
    const { layer, digest: manifest } = await as(CI).pushImage("hosted/team/app", "1.0");
    const stranger = as(STRANGER);
    for (const query of [
      `mount=${layer.digest}&from=hosted/team/app`,
      `mount=${layer.digest}&from=team/app`,
      `mount=${layer.digest}`,
    ]) {
      expect((await stranger.send("POST", `/v2/hosted/other/app/blobs/uploads/?${query}`)).status).toBe(202);
    }
    for (const path of [
      `/v2/hosted/other/app/blobs/${layer.digest}`,
      `/v2/hosted/other/app/manifests/${manifest}`,
      `/v2/library/app/blobs/${layer.digest}`,
      `/v2/library/app/manifests/${manifest}`,
    ]) {
      const { status, bytes } = await stranger.send("GET", path);
      expect([403, 404], path).toContain(status);
      expect(bytes).not.toEqual(layer.bytes);
    }
    expect((await stranger.send("GET", "/v2/hosted/team/app/tags/list")).status).toBe(403);
  });

  test("can't be referenced by a manifest of another repository", async () => {
    const image = await as(CI).pushImage("hosted/team/app", "1.0");
    expect((await as(STRANGER).putManifest("hosted/other/app", "1.0", image.bytes)).status).toBe(404);
  });
});

describe("without a key", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE"])("%s is challenged, whatever it names", async (method) => {
    for (const name of ["hosted/team/app", "hosted/nowhere"]) {
      const body = method === "POST" || method === "DELETE" ? null : CONTENT;
      const response = await new Pusher(mirror).send(method, `/v2/${name}/manifests/1.0`, { body });
      expect([response.status, response.headers.has("WWW-Authenticate")]).toEqual([401, true]);
    }
    expect(await mirror.stored()).toEqual([]);
  });
});

describe("mirrored repositories", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE"])("take no %s, whatever the key", async (method) => {
    for (const path of [
      "/v2/library/alpine/manifests/1",
      "/v2/ghcr.io/hosted/x/blobs/uploads/",
      "/ghcr.io/v2/a/b/blobs/uploads/",
    ]) {
      expect((await as(CI).send(method, path, { body: CONTENT })).status).toBe(405);
    }
    expect(mirror.docker.requests).toEqual([]);
  });
});

describe("a web page", () => {
  test("can't push with a browser that sends only Origin", async () => {
    const page = new Pusher(mirror, { ...basic(CI), Origin: "https://evil.test" });
    expect(
      (await page.send("POST", `/v2/hosted/team/app/blobs/uploads/?digest=${digest}`, { body: CONTENT }))
        .status,
    ).toBe(403);
  });
});

describe("the registry's own host", () => {
  test("has the same repositories without the path", async () => {
    await as(CI).pushImage("hosted/team/app", "1.0");
    const atHost = (path: string) =>
      mirror.request(path, { host: "registry.example.com", headers: basic(CI) });
    expect((await atHost("/v2/team/app/manifests/1.0")).status).toBe(200);
    expect((await atHost("/v2/team/app/tags/list")).json()).toEqual({ name: "team/app", tags: ["1.0"] });
    expect((await atHost("/v2/library/alpine/manifests/latest")).status).toBe(403);
    expect((await atHost("/v2/")).status).toBe(200);
  });
});
