/** `portolan verify` over sockets: what it finds on mirrors that were made wrong in one way each. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { behaviours } from "../../support/fake-registry.ts";
import { type Harbour, harbours, IMAGE, type Launched, launch, REPOSITORY } from "../support/fleet.ts";
import { portolan, UNREACHABLE } from "../support/portolan.ts";

const NEW = "2026-03-11T00:00:00Z";
const OLD = "2026-03-01T00:00:00Z";

let publisher: Harbour;
let mirrors: Harbour[];
let image: Launched;
let close: () => Promise<void>;

beforeEach(async () => {
  const fleet = await harbours(4);
  close = fleet.close;
  const [first, ...others] = fleet.all;
  if (!first) throw new Error("no publisher");
  publisher = first;
  mirrors = others;
  await launch(publisher, "old", OLD);
  image = await launch(publisher, "new", NEW);
});
afterEach(() => close());

function verify(only: readonly Harbour[], ...more: string[]) {
  const given = only.flatMap(({ url }) => ["--mirror", url]);
  return portolan(["verify", IMAGE, "--against", publisher.url, ...given, ...more]);
}

describe("three mirrors, one with an old tag, one with a swapped layer, one without a platform", () => {
  beforeEach(async () => {
    const [stale, swapped, partial] = mirrors;
    if (!stale || !swapped || !partial) throw new Error("three mirrors");
    await launch(stale, "old", OLD);
    await launch(swapped, "new", NEW);
    swapped.registry.fail({ kind: "blob", path: new RegExp(image.layers[1] ?? "") }, behaviours.corrupted());
    await launch(partial, "new", NEW, ["linux/amd64"]);
  });

  test("each is found out, in a table with a column for each, and the command exits with 1", async () => {
    const { code, output, errors } = await verify(mirrors, "--deep");
    expect(errors.match(/downloaded and hashed/g)).toHaveLength(3);
    expect(code).toBe(1);
    const row = (name: string) => output.split("\n").find((line) => line.trim().startsWith(name)) ?? "";
    expect(row("index")).toMatch(/stale, 10 days behind +same +different$/);
    expect(row("linux/amd64")).toMatch(/stale, 10 days behind +different +same$/);
    expect(row("layer 2")).toMatch(/stale +different +same$/);
    expect(row("linux/arm64")).toMatch(/stale, 10 days behind +same +missing$/);
    expect(output).toContain("its bytes are sha256:");
    expect(output).toMatch(/0 of 3 mirrors give .*: stale, .*: different, .*: different\n$/);
  });

  test("a swapped layer of the same size is only found out by downloading it", async () => {
    const { code, output } = await verify(mirrors.slice(1, 2));
    expect(code).toBe(0);
    expect(output).toContain("--deep downloads and hashes them");
  });

  test("a platform that is the same on a mirror is reported as the same where no other is wanted", async () => {
    const { code, output } = await verify(mirrors.slice(2), "--platform", "linux/amd64");
    expect(output).not.toContain("arm64");
    // The index is another one all the same.
    expect(code).toBe(1);
  });

  test("--json tells all objects of all mirrors", async () => {
    const reported = (await verify(mirrors, "--deep", "--json")).json();
    expect(reported).toMatchObject({
      same: false,
      images: [
        {
          image: "docker.io/library/boat:1.0",
          digest: image.index,
          mirrors: [
            { mirror: mirrors[0]?.url, state: "stale" },
            { mirror: mirrors[1]?.url, state: "different" },
            { mirror: mirrors[2]?.url, state: "different" },
          ],
        },
      ],
    });
  });
});

test("a mirror that is right exits with 0, and the publisher is requested one HEAD alone", async () => {
  await launch(mirrors[0] as Harbour, "new", NEW);
  publisher.registry.reset();
  const { code, output } = await verify(mirrors.slice(0, 1), "--deep");
  expect(output).toMatch(/✓ .* gives the image as the publisher pushed it \(every layer hashed\)\n$/);
  expect(code).toBe(0);
  expect(publisher.registry.requests.map(({ method, kind }) => `${method} ${kind}`)).toEqual([
    "HEAD manifest",
  ]);
});

test("an image of the same name that the publisher never had is different, not stale", async () => {
  await launch(mirrors[0] as Harbour, "forged", OLD);
  const { code, output } = await verify(mirrors.slice(0, 1));
  expect(code).toBe(1);
  expect(output).toMatch(/index .*different/);
  expect(output).toContain("the publisher doesn't have this one");
});

test("bytes that aren't what they are called are different", async () => {
  await launch(mirrors[0] as Harbour, "new", NEW);
  const path = new RegExp(`manifests/${image.manifests[1]}`);
  mirrors[0]?.registry.fail({ kind: "manifest", method: "GET", path }, behaviours.corrupted());
  const { code, output } = await verify(mirrors.slice(0, 1));
  expect(code).toBe(1);
  expect(output).toMatch(/linux\/arm64 .*different/);
});

test("a mirror that doesn't response is no difference: it exits with 2", async () => {
  const { code, output } = await portolan([
    "verify",
    IMAGE,
    "--against",
    publisher.url,
    "--mirror",
    UNREACHABLE,
  ]);
  expect(output).toContain("no response");
  expect(code).toBe(2);
});

test("an image that the publisher doesn't have can't be verified: that exits with 2", async () => {
  publisher.registry.removeTag(REPOSITORY, "1.0");
  const { code, errors } = await verify(mirrors.slice(0, 1));
  expect(errors).toContain("has no docker.io/library/boat:1.0");
  expect(code).toBe(2);
});

test("a platform that the image isn't for is a mistake of the user's", async () => {
  const { code, errors } = await verify(mirrors.slice(0, 1), "--platform", "linux/s390x");
  expect(errors).toContain("it is for linux/amd64, linux/arm64");
  expect(code).toBe(2);
});

test("a mirror that wants a key which isn't known here is reported as that, by every command", async () => {
  const [keyed] = mirrors as [Harbour];
  await launch(keyed, "new", NEW);
  const credentials = [{ username: "key", password: "s3cret" }];
  Object.assign(keyed.registry.settings, { auth: "basic", credentials });
  const advice = `docker login ${new URL(keyed.url).host}, with the key as the password`;
  const verified = await verify([keyed]);
  expect(verified.output).toMatch(/index .* no access\n/);
  expect(verified.output).toContain(advice);
  expect(verified.output).toMatch(/✗ .*: no access\n$/);
  expect(verified.code).toBe(2);
  for (const command of ["inspect", "warm"]) {
    const { code, errors, output } = await portolan([command, IMAGE, "--mirror", keyed.url]);
    expect(errors + output).toContain(advice);
    expect(code).toBe(2);
  }
});
