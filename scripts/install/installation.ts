/** The files of the service, and how they come and go. */
import { lstat, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hasCode } from "../files.ts";
import {
  DEFAULT_DATA,
  ENVIRONMENT,
  ENVIRONMENT_TEXT,
  NAME,
  type Service,
  STATE,
  SYSUSERS_TEXT,
  unitText,
} from "./unit.ts";

export const UNIT = `/etc/systemd/system/${NAME}.service`;
export const SYSUSERS = `/etc/sysusers.d/${NAME}.conf`;
/** `systemctl enable` makes it. */
const ENABLED = `/etc/systemd/system/multi-user.target.wants/${NAME}.service`;

export interface ServiceFile {
  path: string;
  text: string;
  mode: number;
  /** A file that is there is its owner's. */
  isKept: boolean;
}

export type Outcome = "written" | "unchanged" | "kept";

export function serviceFiles(service: Service): ServiceFile[] {
  return [
    { path: UNIT, text: unitText(service), mode: 0o644, isKept: false },
    { path: SYSUSERS, text: SYSUSERS_TEXT, mode: 0o644, isKept: false },
    { path: ENVIRONMENT, text: ENVIRONMENT_TEXT, mode: 0o600, isKept: true },
  ];
}

/** @param root the folder that stands for `/`. @returns what became of each, by its path */
export async function writeFiles(
  files: readonly ServiceFile[],
  root: string,
): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for (const { path, text, mode, isKept } of files) {
    const place = join(root, path);
    const before = await readIfRegular(place);
    if (before !== null && (isKept || before === text)) {
      outcomes.set(path, before === text ? "unchanged" : "kept");
      continue;
    }
    await mkdir(dirname(place), { recursive: true, mode: 0o755 });
    await writeFile(place, text, { mode });
    outcomes.set(path, "written");
  }
  return outcomes;
}

/**
 * Removes what `writeFiles` wrote, but for the file with the settings.
 * @returns the paths of what was removed
 * @throws Error if the service is still enabled: its unit would be missed
 */
export async function removeFiles(root: string): Promise<string[]> {
  if (await exists(join(root, ENABLED))) {
    throw new Error(`the service is still enabled; first: systemctl disable --now ${NAME}`);
  }
  const removed: string[] = [];
  for (const path of [UNIT, SYSUSERS]) {
    if (!(await exists(join(root, path)))) continue;
    await rm(join(root, path));
    removed.push(path);
  }
  return removed;
}

/** What is left to do, as commands for a shell. */
export function stepsToStart({ data }: Service): string[] {
  return [
    "systemd-sysusers",
    ...(data === DEFAULT_DATA || data.startsWith(`${STATE}/`)
      ? []
      : [`install -d -o ${NAME} -g ${NAME} -m 700 ${shellQuoted(data)}`]),
    "systemctl daemon-reload",
    `systemctl enable --now ${NAME}`,
  ];
}

export function stepsToForget(): string[] {
  return ["systemctl daemon-reload", `rm -r ${STATE} ${dirname(ENVIRONMENT)}`, `userdel ${NAME}`];
}

function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @returns null if there is nothing. @throws Error for a link or anything else that isn't a file */
async function readIfRegular(path: string): Promise<string | null> {
  if (!(await exists(path))) return null;
  if (!(await lstat(path)).isFile()) throw new Error(`${path} isn't a file of its own; remove it first`);
  return readFile(path, "utf8");
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
