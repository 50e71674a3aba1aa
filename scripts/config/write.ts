/** Puts a guide's files where a client looks for them: shows the difference, asks, and keeps what was there. */
import { chmod, mkdir, rename, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { styleText } from "node:util";
import { createTwoFilesPatch } from "diff";
import type { ClientName } from "../../src/guides/clients.ts";
import { basicCredentials, type Guide, type GuideFile } from "../../src/guides/guide.ts";
import { readIfThere } from "../files.ts";
import { mergedInto } from "./merge.ts";
import { treatmentOf } from "./writable.ts";

export interface Change {
  /** Where it is on this machine. */
  path: string;
  /** null if there is no such file. */
  before: string | null;
  after: string;
  /** Comments in the file don't survive. */
  losesComments: boolean;
}

/**
 * What writing a guide would change; files that already say all of it are left out.
 * @param root folder that the guide's absolute paths are below, `/` as a rule
 * @throws UnreadableFile, or another error that names the file
 */
export async function plannedChanges(client: ClientName, guide: Guide, root: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (const { file } of guide.steps) {
    const treatment = file === undefined ? null : treatmentOf(client, file);
    if (file === undefined || treatment === null) continue;
    const path = located(file.path, root);
    const before = await readIfThere(path);
    const after = treatment === "merge" ? mergedInto(before, file) : file.content;
    if (after !== before) changes.push({ path, before, after, losesComments: losesComments(file, before) });
  }
  return changes;
}

/** The difference as `diff -u` shows it, coloured where the terminal has colours. */
export function differenceText({ path, before, after, losesComments }: Change): string {
  const patch = createTwoFilesPatch(before === null ? "/dev/null" : path, path, before ?? "", after);
  const lines = patch.split("\n").filter((line) => !/^(={5}|Index: )/.test(line));
  const warning = losesComments ? `Comments in ${path} are lost; the copy that is kept has them.\n` : "";
  return `${lines.map(coloured).join("\n")}${warning}`;
}

/**
 * Writes one file whole or not at all, and keeps what was there beside it. A file that is there keeps its rights; a new one
 * is for its owner alone if the key is in it.
 * @returns where the old content is kept; null if there was none
 */
export async function write({ path, before, after }: Change, key: string | null): Promise<string | null> {
  await mkdir(dirname(path), { recursive: true });
  const mode = before === null ? (holds(after, key) ? 0o600 : 0o644) : (await stat(path)).mode & 0o7777;
  const backup = before === null ? null : `${path}.${stamp()}.bak`;
  if (backup !== null && before !== null) await writeFile(backup, before, { mode, flag: "wx" });
  const fresh = `${path}.${process.pid}.new`;
  await writeFile(fresh, after, { mode });
  // The process's umask may have taken rights away that the file had.
  await chmod(fresh, mode);
  await rename(fresh, path);
  return backup;
}

/** As it is, or with the user's name as a header and login files have it. */
function holds(content: string, key: string | null): boolean {
  return key !== null && (content.includes(key) || content.includes(basicCredentials(key)));
}

function located(path: string, root: string): string {
  if (path.startsWith("~/")) return join(resolve(root), homedir(), path.slice(2));
  return isAbsolute(path) ? join(resolve(root), path) : resolve(path);
}

function losesComments({ language }: GuideFile, before: string | null): boolean {
  return language === "toml" && before !== null && /(^|\s)#/m.test(before);
}

/** 20261117T123105Z: sorts by time and is a file's name everywhere. */
function stamp(): string {
  return new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
}

function coloured(line: string): string {
  if (line.startsWith("+")) return styleText("green", line);
  return line.startsWith("-") ? styleText("red", line) : line;
}
