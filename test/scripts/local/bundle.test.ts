/** Bundles that are requested at once, as by a mirror whose start was refused while its bundle was being made. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bundle } from "../../../scripts/local/bundle.ts";

test("none is lost because another one has ended, or has failed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "portolan-bundle-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const write = async (name: string, code: string): Promise<string[]> => {
    await writeFile(join(folder, name), code);
    return [join(folder, name)];
  };
  const [first, broken, second] = await Promise.allSettled([
    bundle(await write("first.ts", "export const one: number = 1;")),
    bundle(await write("broken.ts", "export const")),
    bundle(await write("second.ts", "export const two: number = 2;")),
  ]);
  expect(first).toEqual({ status: "fulfilled", value: [expect.stringContaining("one=1")] });
  expect(broken.status).toBe("rejected");
  expect(second).toEqual({ status: "fulfilled", value: [expect.stringContaining("two=2")] });
});
