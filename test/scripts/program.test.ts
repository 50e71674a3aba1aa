/** How the program starts: with what a command needs and no more, under any Node; and what holds for all commands alike. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { SUMMARIES } from "../../scripts/commands/summaries.ts";
import { PROJECT, portolan, spawnPortolan, UNREACHABLE } from "./support/portolan.ts";

const COMMANDS = Object.keys(SUMMARIES);

/** The files of the project that a command loads, and the packages. */
async function loadedBy(args: readonly string[]): Promise<{ files: string[]; packages: string[] }> {
  const preloaded = new URL("support/loaded.ts", import.meta.url);
  const { errors } = await spawnPortolan(args, { environment: { NODE_OPTIONS: `--import=${preloaded}` } });
  const urls: string[] = JSON.parse(/^loaded (.*)$/m.exec(errors)?.[1] ?? "");
  const paths = urls
    .filter((url) => url.startsWith("file:"))
    .map((url) => fileURLToPath(url).slice(PROJECT.length));
  const packages = paths.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  return {
    files: paths.filter((path) => !path.startsWith("node_modules/")),
    packages: [...new Set(packages)],
  };
}

/** The files of the project that Node loads with this one, other than by `import()`. Types are gone at run time. */
function importedBy(path: string, found = new Set<string>()): string[] {
  for (const [, name = ""] of readFileSync(join(PROJECT, path), "utf8").matchAll(
    /^(?:import|export) (?!type )(?:[^;"]* from )?"(\.{1,2}\/[^"]+)"/gm,
  )) {
    const imported = join(path, "..", name);
    if (!found.has(imported)) importedBy(imported, found.add(imported));
  }
  return [...found];
}

describe("what is loaded", () => {
  test("for --help: the list of commands, and none of them", async () => {
    const { files, packages } = await loadedBy(["--help"]);
    expect(packages).toEqual(["commander"]);
    expect(files.filter((path) => path.startsWith("scripts/commands/")).sort()).toEqual([
      "scripts/commands/context.ts",
      "scripts/commands/exit.ts",
      "scripts/commands/summaries.ts",
    ]);
    expect(files.length).toBeLessThan(12);
  });

  test("for a command: no other one", async () => {
    const others = (name: string, files: readonly string[]) =>
      files.filter((path) =>
        COMMANDS.some((each) => each !== name && path === `scripts/commands/${each}.ts`),
      );
    const { files } = await loadedBy(["config", "--help"]);
    expect(files).toContain("scripts/commands/config.ts");
    expect(others("config", files)).toEqual([]);
    for (const name of COMMANDS) {
      const imported = importedBy(`scripts/commands/${name}.ts`);
      expect(imported.length, name).toBeGreaterThan(3);
      expect(others(name, imported), name).toEqual([]);
    }
  });

  test("for a look at an image: nothing of files, copies, prompts or bars", async () => {
    const empty = createServer((_, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
    await once(empty, "listening");
    const mirror = `http://127.0.0.1:${(empty.address() as AddressInfo).port}`;
    const { files, packages } = await loadedBy(["inspect", "alpine", "--mirror", mirror]);
    empty.close();
    expect(packages).toContain("undici");
    for (const name of [
      "@clack/prompts",
      "cli-progress",
      "diff",
      "smol-toml",
      "yaml",
      "esbuild",
      "wrangler",
    ]) {
      expect(packages).not.toContain(name);
    }
    expect(
      files.filter((path) => /^scripts\/(copy|config|deploy|keys|mirrors|warm|doctor)\//.test(path)),
    ).toEqual([]);
  });

  test("for keys: nothing that asks registries", async () => {
    const { packages } = await loadedBy(["key", "list", "--file", "/nonexistent/keys.json"]);
    expect(packages).not.toContain("undici");
  });
});

test("--version is that of the package", async () => {
  const { version } = JSON.parse(readFileSync(`${PROJECT}package.json`, "utf8"));
  expect(await spawnPortolan(["--version"])).toMatchObject({ code: 0, output: `${version}\n` });
});

describe("wrong usage", () => {
  const WRONG: [string, ...string[]][] = [
    ["nonsense"],
    ["--nonsense"],
    ...COMMANDS.filter((name) => name !== "deploy").map((name): [string, string] => [name, "--nonsense"]),
    ["verify"],
    ["inspect", "alpine", "--platform", "nonsense"],
    ["key", "add"],
    ["deploy", "--config"],
  ];

  test.each(WRONG)("%s %s exits with 2 and one line", async (...args) => {
    const { code, output, errors } = await portolan(args);
    expect([code, output]).toEqual([2, ""]);
    expect(errors).toMatch(/^error: /);
  });

  // What deploy prints is Wrangler's.
  const jsonCommands = WRONG.filter(([name]) => name !== "deploy");
  test.each(jsonCommands)("%s %s is reported as JSON where JSON is wanted", async (...args) => {
    const finished = await portolan([...args, "--json"]);
    expect([finished.code, finished.errors]).toEqual([2, ""]);
    expect(finished.json()).toEqual({ error: expect.stringMatching(/^[^\n]+$/) });
  });

  test("a command that is misspelled is found", async () => {
    expect((await portolan(["verfy"])).errors).toContain("Did you mean verify?");
  });
});

describe("output that can't be written", () => {
  const start = (args: readonly string[], stdout: "pipe" | number) =>
    spawn(process.execPath, [`${PROJECT}scripts/portolan.js`, ...args], {
      stdio: ["ignore", stdout, "pipe"],
    });

  test("is no error where the reader has left", async () => {
    const child = start(["config", "--json"], "pipe");
    child.stdout?.destroy();
    const errors = child.stderr?.setEncoding("utf8").toArray();
    const [code] = await once(child, "close");
    expect([code, await errors]).toEqual([0, []]);
  });

  test("exits with 2 and one line where the disk is full", async () => {
    const child = start(["config", "--json"], openSync("/dev/full", "w"));
    const errors = child.stderr?.setEncoding("utf8").toArray();
    const [code] = await once(child, "close");
    expect(code).toBe(2);
    expect((await errors)?.join("")).toMatch(/^✗ the result can't be written: ENOSPC.*\n$/);
  });
});

test("a Node that can't run TypeScript hands over to the one that the project pins", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--no-experimental-strip-types", `${PROJECT}scripts/portolan.js`, "verfy"],
    { encoding: "utf8" },
  );
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("Did you mean verify?");
});

test.each(["inspect", "verify", "warm", "mirrors", "doctor"])(
  "%s shows that it is still working once it takes long",
  async (name) => {
    // Longer than the wait without a sign that is requested; the first response only.
    let first = 200;
    const slow = createServer((_, response) => {
      setTimeout(() => response.writeHead(404).end(), first);
      first = 0;
    }).listen(0, "127.0.0.1");
    await once(slow, "listening");
    const mirror = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
    const more: Record<string, string[]> = {
      doctor: ["--image", `${new URL(mirror).host}/boat`],
      mirrors: ["--only-given", "--against", mirror, "--image", "boat"],
      verify: ["boat", "--against", mirror],
    };
    const { errors } = await portolan([name, ...(more[name] ?? ["boat"]), "--mirror", mirror], {
      patience: 50,
      // The registry itself is requested too.
      environment: { HTTPS_PROXY: UNREACHABLE },
    });
    slow.close();
    expect(errors).toMatch(/^\S+ …$/m);
  },
);
