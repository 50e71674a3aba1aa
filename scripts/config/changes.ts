/** What writing a guide's files would change on this machine: the difference as it is shown, and its warnings. */
import { stat } from "node:fs/promises";
import { styleText } from "node:util";
import { createTwoFilesPatch } from "diff";
import { CONFIG_TOML } from "../../src/guides/clients/containerd.ts";
import type { ClientName } from "../../src/guides/clients.ts";
import type { Guide } from "../../src/guides/guide.ts";
import { basicCredentials } from "../../src/guides/key.ts";
import { readIfThere } from "../files.ts";
import { forConfigToml } from "./containerd.ts";
import { mergedInto } from "./merge/merge.ts";
import { treatmentOf } from "./writable.ts";
import { located, type Placed } from "./write-file.ts";

export interface Change extends Placed {
  /** What to know before it is written. */
  warning: string | null;
}

/**
 * What writing a guide would change; files that already say all of it are left out.
 * @param root folder that the guide's absolute paths are below, `/` as a rule
 * @throws UnreadableFile, UnsafeChange, or another error that names the file
 */
export async function plannedChanges(
  client: ClientName,
  guide: Guide,
  { root, key }: { root: string; key: string | null },
): Promise<Change[]> {
  const changes: Change[] = [];
  const files = guide.steps.flatMap(({ file }) => (file && treatmentOf(client, file) ? [file] : []));
  const adapted = files.some(({ path }) => path === CONFIG_TOML) ? await forConfigToml(files, root) : files;
  for (const file of adapted) {
    const path = await located(file.path, root);
    const before = await readIfThere(path);
    const after = treatmentOf(client, file) === "merge" ? mergedInto(before, file, path) : file.content;
    if (after === before) continue;
    const mode = holds(after, key) ? 0o600 : 0o644;
    const warning = before !== null && holds(after, key) ? await exposure(path) : null;
    changes.push({ path, before, after, mode, warning });
  }
  return changes;
}

/** The difference as `diff -u` shows it, coloured where the terminal has colours. */
export function differenceText({ path, before, after, warning }: Change): string {
  const patch = createTwoFilesPatch(before === null ? "/dev/null" : path, path, before ?? "", after);
  const lines = patch.split("\n").filter((line) => !/^(={5}|Index: )/.test(line));
  return `${lines.map(coloured).join("\n")}${warning === null ? "" : `Warning: ${warning}\n`}`;
}

/** As it is, or with the user's name as a header and login files have it. */
function holds(content: string, key: string | null): boolean {
  return key !== null && (content.includes(key) || content.includes(basicCredentials(key)));
}

/** @returns null if only the file's owner can read it */
async function exposure(path: string): Promise<string | null> {
  const mode = (await stat(path)).mode & 0o7777;
  if ((mode & 0o044) === 0) return null;
  const shown = mode.toString(8).padStart(4, "0");
  return `the access key goes into ${path}, which others on this machine can read (mode ${shown}). Unless they need to: chmod 600 ${path}`;
}

function coloured(line: string): string {
  if (line.startsWith("+")) return styleText("green", line);
  return line.startsWith("-") ? styleText("red", line) : line;
}
