/** `portolan key` as a person meets it. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Finished, portolan } from "../support/portolan.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-key-"));
  file = join(folder, "keys.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const key = (...args: string[]): Promise<Finished> => portolan(["key", ...args, "--file", file]);

test("add shows the key this once, and how docker, containerd and podman are given it", async () => {
  const { code, output, errors } = await key("add", "alice");
  expect([code, errors]).toEqual([0, ""]);
  const [made = ""] = /^ {2}[a-z2-7]{32}$/m.exec(output) ?? [];
  const shown = made.trim();
  expect(output).toContain("docker login -u portolan MIRROR");
  expect(output).toContain(`"registry-mirrors": ["https://docker-${shown}.DOMAIN"]`);
  expect(output).toContain(`"https://MIRROR/${shown}/docker.io"`);
  expect(output).toContain(`Authorization = "Basic ${btoa(`portolan:${shown}`)}"`);
  expect(output).toContain("podman login -u portolan MIRROR");
  expect(output).toContain("key push");
  expect(await readFile(file, "utf8")).not.toContain(shown);
  expect((await key("list")).output).not.toContain(shown);
});

test("list says of each key what it opens, until when and how often", async () => {
  await key("add", "alice");
  const terms = [
    "--allow",
    "docker.io/library/*",
    "--allow",
    "ghcr.io/*",
    "--deny",
    "ghcr.io/x/*",
    "--push",
    "hosted/a/*",
    "--delete",
    "hosted/b/*",
  ];
  await key("add", "ci", ...terms, "--expires", "90d", "--rate", "600");
  const [, alice = "", ci = ""] = (await key("list")).output.split("\n");
  expect(alice).toMatch(/^alice +all +nothing +never +any number$/);
  expect(ci).toMatch(
    /^ci +docker\.io\/library\/\* ghcr\.io\/\* but not ghcr\.io\/x\/\* +hosted\/a\/\*, deletes hosted\/b\/\* +\d{4}-\d\d-\d\d, in \d+ \w+ +600 a minute$/,
  );
  expect((await key("list", "--json")).json()).toMatchObject({
    keys: [
      { name: "alice", allow: [], deny: [], expires: null, rate: null },
      {
        name: "ci",
        allow: ["docker.io/library/*", "ghcr.io/*"],
        deny: ["ghcr.io/x/*"],
        push: ["hosted/a/*"],
        delete: ["hosted/b/*"],
        rate: 600,
      },
    ],
  });
});

test("narrow gives a key other terms, and leaves its value", async () => {
  await key("add", "ci", "--push", "hosted/*");
  const [before] = JSON.parse(await readFile(file, "utf8"));
  expect((await key("narrow", "ci", "--allow", "docker.io/*", "--rate", "60")).code).toBe(0);
  const [after] = JSON.parse(await readFile(file, "utf8"));
  expect(after).toEqual({ name: "ci", hash: before.hash, allow: ["docker.io/*"], rate: 60 });
});

test("rotate shows another key, revoke leaves none", async () => {
  const before = (await key("add", "alice", "--json")).json();
  const after = (await key("rotate", "alice", "--json")).json();
  expect(after).toMatchObject({ name: "alice", key: expect.stringMatching(/^[a-z2-7]{32}$/) });
  expect(after).not.toEqual(before);
  expect((await key("revoke", "alice")).output).toContain("alice is revoked");
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual([]);
});

test.each([
  [["add"], /missing required argument/],
  [["add", "bob", "--rate", "0"], /--rate.*1 at least/],
  [["add", "bob", "--expires", "soon"], /--expires.*90d/],
  [["add", "bob", "--allow", "https://ghcr.io"], /allow must be a pattern/],
  [["revoke", "bob"], /no key named bob/],
  [["nonsense"], /unknown command/],
])("%j is refused with 2 and in a line, and nothing is written", async (args, message) => {
  const { code, output, errors } = await key(...args);
  expect(errors).toMatch(message);
  expect(errors).not.toMatch(/^\s+at /m);
  expect([code, output]).toEqual([2, ""]);
  await expect(readFile(file)).rejects.toThrow();
});
