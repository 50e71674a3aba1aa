/** A day in the name, on a keyed mirror: keys permit what they permit without it. */
import { beforeEach, expect, test } from "vitest";
import { basic, bearer, KEY, KEYED, NARROW } from "../access/keyed.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror(KEYED);
let image: Image;
let prefix: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
  await mirror.docker.addImage("library/secret", "latest", { layers: [patternBytes(100, 2)] });
  prefix = `at-${new Date().toISOString().slice(0, 10).replaceAll("-", "")}/docker.io`;
  for (const name of ["demo", "secret"]) {
    await mirror.request(`/v2/library/${name}/manifests/latest`, { headers: basic(KEY) });
  }
});

const pull = async (name: string, headers: Record<string, string>) =>
  (await mirror.request(`/v2/${prefix}/library/${name}/manifests/latest`, { headers })).status;

test("a key, or a token for the name with the day in it, opens what it opens without", async () => {
  expect(await pull("demo", basic(KEY))).toBe(200);
  const scope = encodeURIComponent(`repository:${prefix}/library/demo:pull`);
  const { token } = (await mirror.request(`/_/token?scope=${scope}`, { headers: basic(KEY) })).json();
  expect(await pull("demo", bearer(token))).toBe(200);
  const layer = await mirror.request(`/v2/${prefix}/library/demo/blobs/${image.layers[0]?.digest}`, {
    headers: bearer(token),
  });
  expect(layer.status).toBe(200);
});

test("no key opens anything by a day that it doesn't open without", async () => {
  expect(await pull("demo", {})).toBe(401);
  expect(await pull("demo", basic(NARROW))).toBe(200);
  expect(await pull("secret", basic(NARROW))).toBe(403);
  expect(await pull("secret", basic(KEY))).toBe(200);
});
