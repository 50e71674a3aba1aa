/** Where the sockets lie: in the data folder where that can hold them, and never where others can reach them. */
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { makeSocketFolder } from "../../../scripts/local/socket-folder.ts";

let data: string;
let made: string | null = null;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-sockets-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const folder of [data, made]) if (folder) await rm(folder, { recursive: true, force: true });
});

test("in the data folder, emptied of what a killed mirror left", async () => {
  made = await makeSocketFolder(data);
  await writeFile(join(made, "workerd.capnp"), "a secret");
  expect(await makeSocketFolder(data)).toBe(made);
  expect(made).toBe(join(data, "run"));
  expect(await readdir(made)).toEqual([]);
});

test.each([
  ["whose path is too long", () => join(data, "a".repeat(90))],
  ["whose file system has no sockets", () => data],
])("among the temporary ones for a data folder %s", async (_, folder) => {
  if (folder() === data) {
    vi.spyOn(Server.prototype, "listen").mockImplementation(function (this: Server) {
      process.nextTick(() => this.emit("error", new Error("listen ENOTSUP")));
      return this;
    });
  }
  made = await makeSocketFolder(folder());
  expect(made.startsWith(join(tmpdir(), "portolan-"))).toBe(true);
  expect((await stat(made)).mode & 0o077).toBe(0);
});
