/** Where the sockets between Node and workerd lie: the path of one may have 107 bytes, on macOS 103. */
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Bytes of the longest path of a socket that every system takes. */
const LONGEST_PATH = 103;
/** The name of the longest socket in it, with the slash before it. */
const ROOM = "/control.sock".length;

/**
 * Makes an empty folder for sockets that only its owner can enter: in the data folder, or where its path is too long or its
 * file system has no sockets, as on disks and shares of other systems, for this one run among the temporary ones.
 */
export async function makeSocketFolder(data: string): Promise<string> {
  const own = join(data, "run");
  if (fits(own)) {
    await rm(own, { recursive: true, force: true });
    await mkdir(own, { mode: 0o700 });
    if (await takesSockets(own)) return own;
  }
  const temporary = [tmpdir(), "/tmp"].map((folder) => join(folder, "portolan-"));
  const prefix = temporary.find((path) => fits(`${path}XXXXXX`));
  if (prefix === undefined) throw new Error(`the path of ${tmpdir()} is too long for sockets; set TMPDIR`);
  return mkdtemp(prefix);
}

function fits(folder: string): boolean {
  return Buffer.byteLength(folder) + ROOM <= LONGEST_PATH;
}

async function takesSockets(folder: string): Promise<boolean> {
  const server = createServer().listen(join(folder, "try.sock"));
  try {
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
