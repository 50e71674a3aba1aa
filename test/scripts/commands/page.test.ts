/** docs/command-line.md against the commands: every option that a command has is there with its argument, and no other. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { portolan } from "../support/portolan.ts";

const page = readFileSync(fileURLToPath(new URL("../../../docs/command-line.md", import.meta.url)), "utf8");
const sections = [...page.matchAll(/^## ([a-z]+)\n(.*?)(?=^## |$(?![\s\S]))/gms)].map(
  ([, name = "", text = ""]) => ({
    name,
    text,
  }),
);
/** What all have in common stands once on the page. */
const COMMON = ["--json", "--insecure", "--help"];

test("the page has the commands that look at mirrors", () => {
  const names = sections.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["verify", "inspect", "warm", "mirrors", "doctor"]));
});

describe.each(sections)("$name", ({ name, text }) => {
  test("has the options that --help prints, each with its argument", async () => {
    const { code, output } = await portolan([name, "--help"]);
    expect(code).toBe(0);
    expect(output).toContain(`Examples:\n  npm run portolan -- ${name}`);
    const printed = [...output.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+(?: <\S+>)?)/gm)].map(
      ([, option = ""]) => option,
    );
    const written = [...text.matchAll(/^\| `(--[^`]+)`/gm)].map(([, option = ""]) => option);
    expect(written.sort()).toEqual(printed.filter((option) => !COMMON.includes(option)).sort());
  });

  test("exits with 2 when it is used wrongly, so that 1 always means what was found", async () => {
    expect((await portolan([name, "--nonsense"])).code).toBe(2);
  });

  test("is used with options that it has", () => {
    const commands = [...text.matchAll(/^npm run portolan -- (.*(?:\\\n.*)*)/gm)].map(
      ([, command = ""]) => command,
    );
    expect(commands).not.toEqual([]);
    const used = commands.flatMap((command) =>
      [...command.matchAll(/ (--[a-z-]+)/g)].map(([, option = ""]) => option),
    );
    for (const option of used.filter((each) => !COMMON.includes(each)))
      expect(text).toContain(`| \`${option}`);
  });
});
