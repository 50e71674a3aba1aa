/** Mounts from mirrored repositories on a keyed mirror: only what the key may pull, and only what is public. */
import { beforeEach, expect, test } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import { basic, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { Pusher } from "./support.ts";

const ALL = "a".repeat(32);
const GHCR = "g".repeat(32);
const OWNER = { username: "owner", password: "hunter2" };

const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  DENY: ["docker.io/denied/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
  ACCESS_KEYS: JSON.stringify([
    { name: "all", hash: await hashKey(ALL), push: ["hosted/*"] },
    { name: "ghcr", hash: await hashKey(GHCR), allow: ["ghcr.io/*"], push: ["hosted/*"] },
  ]),
});
const layers = { "library/open": patternBytes(900, 1), "owner/secret": patternBytes(900, 2) };
const digests: Record<string, string> = {};

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  for (const [name, layer] of Object.entries(layers)) {
    const image = await mirror.docker.addImage(name, "latest", { layers: [layer] });
    digests[name] = image.layers[0]?.digest ?? "";
  }
  mirror.docker.setVisibility("owner/secret", "private");
  for (const name of Object.keys(layers)) {
    const { status } = await as(ALL).send("GET", `/v2/docker.io/${name}/blobs/${digests[name]}`);
    expect(status).toBe(200);
  }
});

const as = (key: string) => new Pusher(mirror, basic(key));
const mount = async (key: string, name: string, from: string) => {
  const path = `/v2/hosted/team/app/blobs/uploads/?mount=${digests[name]}&from=${from}`;
  return (await as(key).send("POST", path)).status;
};
const hosted = async (name: string) =>
  (await as(ALL).send("GET", `/v2/hosted/team/app/blobs/${digests[name]}`)).status;

test("public content is mounted with a key that may pull it", async () => {
  expect(await mount(ALL, "library/open", "docker.io/library/open")).toBe(201);
  expect(await hosted("library/open")).toBe(200);
});

test("public content is not mounted from a repository that the key, or the mirror, doesn't open", async () => {
  expect(await mount(GHCR, "library/open", "docker.io/library/open")).toBe(202);
  expect(await mount(GHCR, "library/open", "library/open")).toBe(202);
  expect(await mount(ALL, "library/open", "docker.io/denied/open")).toBe(202);
  expect(await hosted("library/open")).toBe(404);
});

test("private content is never mounted: from its own repository, a public one, or another's", async () => {
  for (const from of [
    "docker.io/owner/secret",
    "owner/secret",
    "docker.io/library/open",
    "docker.io/owner/x",
  ]) {
    for (const key of [ALL, GHCR]) expect(await mount(key, "owner/secret", from), from).toBe(202);
  }
  expect(await hosted("owner/secret")).toBe(404);
  expect((await mirror.stored()).filter((key) => key.startsWith("hosted/"))).toEqual([]);
});

test("public content is not mounted from a private repository", async () => {
  expect(await mount(ALL, "library/open", "docker.io/owner/secret")).toBe(202);
});

test("nothing is mounted without a key", async () => {
  const path = `/v2/hosted/team/app/blobs/uploads/?mount=${digests["library/open"]}&from=docker.io/library/open`;
  expect((await new Pusher(mirror).send("POST", path)).status).toBe(401);
});
