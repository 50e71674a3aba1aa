/** The Worker as one file, as it is pasted into the dashboard. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import { expect, test } from "vitest";
import { singleFile } from "../../../scripts/deploy/single-file.ts";
import { uploadMetadata } from "../../../scripts/deploy/upload-metadata.ts";
import { PROJECT } from "../support/portolan.ts";

test("it imports nothing but the runtime's modules, and exports all that the platform calls", async () => {
  const code = await singleFile();
  const imports = [...code.matchAll(/(?<=^|;)import\s*\{[^;]*?\}\s*from\s*"([^"]+)"/gm)].map(
    ([, name]) => name,
  );
  expect(new Set(imports)).toEqual(new Set(["cloudflare:workers"]));
  expect(code).not.toMatch(/\brequire\(/);
  const [, exported = ""] = /(?<=^|;)export\s*\{([^}]*)\};\s*$/m.exec(code) ?? [];
  const names = exported.split(",").map((name) => name.trim().replace(/.* as /, ""));
  expect(names.sort()).toEqual([
    "BlobFill",
    "HostedRecords",
    "Layers",
    "Ledger",
    "RepositoryResolver",
    "default",
  ]);
});

test("what is uploaded beside it creates every Durable Object class, and nothing that opens the mirror", async () => {
  const metadata = uploadMetadata(parse(await readFile(join(PROJECT, "wrangler.toml"), "utf8")));
  const classes = metadata.bindings.flatMap((binding) => ("class_name" in binding ? binding.class_name : []));
  expect(metadata.migrations).toEqual({ new_tag: "v1", steps: [{ new_sqlite_classes: classes }] });
  const variables = metadata.bindings.filter(({ type }) => type === "plain_text");
  expect(variables).toEqual([{ type: "plain_text", name: "ACCESS", text: "keys" }]);
});
