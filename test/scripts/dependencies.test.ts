// `npm install --omit=dev` is enough for `npm start` and the command line: what they import is among the dependencies.
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { expect, test } from "vitest";

const PROJECT = new URL("../../", import.meta.url).pathname;
const { dependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"));
/**
 * Deploying is done from a clone with its development dependencies, and says so where they are missing; `npm run docs` writes
 * files of the repository.
 */
const ELSEWHERE = ["scripts/deploy/wrangler.ts", "scripts/owner-api/document.ts"];
/** A type's import is gone at run time. */
const IMPORT =
  /^(?:import |(?:import|export) (?!type )[^;"=]*? from )"([^".][^"]*)"|\bimport\("([^".][^"]*)"\)/gm;

/** @returns the names of the packages by the path of the file that imports them. */
function imported(): Map<string, Set<string>> {
  const packages = new Map<string, Set<string>>();
  for (const folder of ["src", "scripts"]) {
    for (const name of readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" })) {
      if (!/\.(ts|tsx|js)$/.test(name)) continue;
      const names = [...readFileSync(join(PROJECT, folder, name), "utf8").matchAll(IMPORT)].map(packageOf);
      packages.set(`${folder}/${name}`, new Set(names));
    }
  }
  return packages;
}

function packageOf([, first, second]: RegExpMatchArray): string {
  const [scope = "", name = ""] = (first ?? second ?? "").split("/");
  return scope.startsWith("@") ? `${scope}/${name}` : scope;
}

test("every map with a bound is made where none allocates all of its entries at once", () => {
  const importers = [...imported()].filter(([, names]) => names.has("lru-cache")).map(([file]) => file);
  expect(importers).toEqual(["src/registry/bounded-map.ts"]);
});

test("nothing outside of a deploy imports a development dependency", () => {
  const found = imported();
  expect(found.get("scripts/deploy/wrangler.ts")).toContain("wrangler");
  expect(found.get("scripts/local/bundle.ts")).toContain("esbuild");
  for (const [file, names] of found) {
    if (ELSEWHERE.includes(file)) continue;
    const others = [...names].filter(
      (name) =>
        !/^(node|cloudflare):/.test(name) && !builtinModules.includes(name) && !(name in dependencies),
    );
    expect(others, file).toEqual([]);
  }
});
