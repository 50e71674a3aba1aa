/** KEEP and private images: these are given by upstream alone. */
import { expect, test } from "vitest";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const HOSTED = { username: "owner", password: "hunter2" };
const PATH = "/v2/owner/secret/manifests/latest";

const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [HOSTED] },
  KEEP: ["*"],
  TAG_TTL: 1,
});

const pull = async () => (await mirror.request(PATH, { headers: basic(KEY) })).status;

test.each([
  ["while access is remembered", 2_000],
  ["later", 3_600_000],
])("a private image that was deleted upstream isn't served on: %s", async (_, wait) => {
  mirror.docker.settings.credentials = [HOSTED];
  const { target } = await mirror.docker.addImage("owner/secret", "latest", {
    layers: [patternBytes(100, 1)],
  });
  mirror.docker.setVisibility("owner/secret", "private");
  expect(await pull()).toBe(200);
  mirror.docker.removeTag("owner/secret", "latest");
  mirror.docker.removeManifest("owner/secret", target.digest);
  mirror.clock.ahead += wait;
  expect(await pull()).toBe(404);
  expect(await pull()).toBe(404);
});
