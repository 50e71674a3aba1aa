/** YAML that guides write: what readers of both versions get is what was to be written. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { yamlText } from "../../src/guides/yaml.ts";

/** Texts that a reader may take for something else, and those of guides. */
const TRICKY = [
  ...[
    "",
    " ",
    "~",
    "null",
    "yes",
    "No",
    "on",
    "y",
    "1",
    "0x1f",
    "1e3",
    "1_000",
    "12:30",
    "2026-11-28",
    ".inf",
    "<<",
    "=",
  ],
  ...[
    "- a",
    "? a",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "&a",
    "*",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "[a",
    "{a",
    "'a",
    '"a',
    "|",
    ">",
  ],
  ...[
    "a\nb",
    "a\nb\n",
    "a\n\nb\n",
    "a\n\n",
    " a\nb",
    "a\n  b\n",
    "a\n b",
    "\na",
    "a\tb",
    "a ",
    "---",
    "...",
    "é",
    "镜像",
    "\u0085",
    "\u2028",
  ],
  ...["http://127.0.0.1:8787", "docker.io/*", "$VAR", "key=value", "/etc/containerd"],
];
const text = fc.oneof(fc.constantFrom(...TRICKY), fc.string({ unit: "grapheme" }));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.constantFrom<unknown>(null, true, false, 0, 8787),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(text, tie("value"), { maxKeys: 3 }),
  ),
}));

test.each(["1.1", "1.2"] as const)("readers of YAML %s get what was written", (version) => {
  fc.assert(
    fc.property(fc.dictionary(text, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true }), (document) => {
      const read: unknown = parse(yamlText(document), { version, merge: false, uniqueKeys: false });
      expect(JSON.stringify(read)).toBe(JSON.stringify(document));
    }),
    {
      numRuns: 500,
      examples: TRICKY.map((each): [Record<string, unknown>] => [
        { [each]: each, list: [each, { a: each }] },
      ]),
    },
  );
});

test("files look as people write them", () => {
  const document = {
    kind: "Cluster",
    nodes: [{ role: "worker", ports: [80, 443] }, "plain"],
    patch: '[plugins."x"]\n  a = "b"\n',
    none: {},
    left: undefined,
  };
  expect(yamlText(document)).toBe(
    'kind: Cluster\nnodes:\n  - role: worker\n    ports:\n      - 80\n      - 443\n  - plain\npatch: |\n  [plugins."x"]\n    a = "b"\nnone: {}\n',
  );
});
