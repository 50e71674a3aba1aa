/** `portolan warm` at mirrors that don't do as they should; test/e2e has it at the real one. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { behaviours } from "../../support/fake-registry.ts";
import { type Harbour, harbours, IMAGE, type Launched, launch } from "../support/fleet.ts";
import { portolan } from "../support/portolan.ts";

let mirror: Harbour;
let image: Launched;
let close: () => Promise<void>;

beforeEach(async () => {
  const fleet = await harbours(1);
  close = fleet.close;
  mirror = fleet.all[0] as Harbour;
  image = await launch(mirror, "new", "2026-03-11T00:00:00Z");
});
afterEach(() => close());

const warm = (...more: string[]) => portolan(["warm", "--mirror", mirror.url, ...more]);

test("a mirror that doesn't say what it holds is reported as one, and nothing is claimed of it", async () => {
  const { code, output } = await warm(IMAGE);
  expect(output).toContain("passed through: the mirror doesn't say whether it keeps them");
  expect(output).not.toContain("fetched");
  expect(code).toBe(0);
});

test("a layer that comes wrong is named, and exits with 1", async () => {
  const path = new RegExp(image.layers[1] ?? "");
  mirror.registry.fail({ kind: "blob", method: "GET", path }, behaviours.corrupted());
  const { code, output } = await warm(IMAGE);
  expect(output).toMatch(/✗ .*1 blob of 106 B failed/);
  expect(output).toContain(`${image.layers[1]?.slice(0, 19)}  its bytes are sha256:`);
  expect(code).toBe(1);
});

test("a manifest that is missing is named, and exits with 1", async () => {
  mirror.registry.removeManifest("library/boat", image.manifests[1] ?? "");
  const { code, output } = await warm(IMAGE);
  expect(output).toContain("the mirror has no linux/arm64");
  expect(code).toBe(1);
});

test("an image that can't be had exits with 2, and the others are fetched all the same", async () => {
  const { code, output } = await warm("nothing", IMAGE);
  expect(output).toMatch(/✗ docker\.io\/library\/nothing:latest.*\n✓ docker\.io\/library\/boat:1\.0/);
  expect(code).toBe(2);
});

test("only the platforms that are named are fetched, and their layers once", async () => {
  mirror.registry.reset();
  await warm(IMAGE, "--platform", "linux/amd64");
  const got = mirror.registry.requests.filter(({ kind, method }) => kind === "blob" && method === "GET");
  expect(got.map(({ path }) => path.split("/").at(-1)).sort()).toHaveLength(3);
  expect(got.some(({ path }) => path.includes(image.layers[3] ?? ""))).toBe(false);
});
