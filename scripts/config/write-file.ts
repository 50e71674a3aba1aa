/** Where a guide's file is on this machine, and how new content is put there: links, owners and mounts stay as they are. */
import { chmod, chown, mkdir, open, readlink, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, normalize, relative, resolve, sep } from "node:path";
import { hasCode } from "../files.ts";

/**
 * The file itself, to which symbolic links lead. Below another root an absolute link counts from there, as it will on
 * the machine whose root that is.
 * @param root `/` as a rule
 */
export function located(path: string, root: string): Promise<string> {
  if (path.startsWith("~/")) return followed(resolve(root), join(homedir(), path.slice(2)));
  return isAbsolute(path) ? followed(resolve(root), path) : followed("/", resolve(path));
}

/** As many links as Linux follows. */
const MOST_LINKS = 40;

async function followed(root: string, path: string): Promise<string> {
  let links = 0;
  let done = "/";
  const left = normalize(path).split(sep);
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    const next = join(done, name);
    const target = await linkTarget(join(root, next));
    if (target === null) {
      done = next;
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) throw new Error(`${join(root, path)} is a symbolic link that leads in a circle.`);
    left.unshift(...target.split(sep));
    if (isAbsolute(target)) done = "/";
  }
  return join(root, relative("/", done));
}

/** @returns null for what is no link, or isn't there */
async function linkTarget(path: string): Promise<string | null> {
  try {
    return await readlink(path);
  } catch (error) {
    if (hasCode(error, "EINVAL", "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

export interface Placed {
  path: string;
  before: string | null;
  after: string;
  /** Of a file that isn't there yet. */
  mode: number;
}

/**
 * Writes one file whole or not at all, and keeps what was there beside it. A file that is there keeps its owner and mode.
 * @returns where the old content is kept; null if there was none
 */
export async function put({ path, before, after, mode }: Placed): Promise<string | null> {
  await mkdir(dirname(path), { recursive: true });
  if (before === null) {
    await replace(path, after, { mode });
    return null;
  }
  const owned = await stat(path);
  const kept = { mode: owned.mode & 0o7777, uid: owned.uid, gid: owned.gid };
  const backup = `${path}.${stamp()}.bak`;
  await create(backup, before, kept).catch((error: unknown) => {
    // Who may not give the copy away keeps it, for themselves.
    if (!hasCode(error, "EPERM")) throw error;
    return create(backup, before, { mode: kept.mode & 0o700 });
  });
  try {
    await replace(path, after, kept);
  } catch (error) {
    // What is mounted there can't be replaced, and another's file not be given back to them.
    if (!hasCode(error, "EBUSY", "EXDEV", "EPERM")) throw error;
    await overwrite(path, after);
  }
  return backup;
}

interface Rights {
  mode: number;
  uid?: number;
  gid?: number;
}

async function replace(path: string, content: string, rights: Rights): Promise<void> {
  const fresh = `${path}.${process.pid}.new`;
  try {
    await create(fresh, content, rights);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}

async function create(path: string, content: string, { mode, uid, gid }: Rights): Promise<void> {
  await writeFile(path, content, { mode: mode & 0o700, flag: "wx", flush: true });
  try {
    if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
    // The process's umask may have taken rights away that the file had.
    await chmod(path, mode);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

async function overwrite(path: string, content: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.truncate(0);
    await file.write(content, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** 20261117T123105Z: sorts by time and is a file's name everywhere. */
function stamp(): string {
  return new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
}
