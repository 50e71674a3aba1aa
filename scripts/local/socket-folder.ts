/** The folder of the sockets between Node and workerd: a socket path may have 107 bytes, on macOS 103. */
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Bytes of the longest socket path that every system accepts. */
const LONGEST_PATH = 103;
/** The longest name of a socket in it, with the slash before it. */
const ROOM = "/forwarder.sock".length;

/**
 * Creates an empty folder for sockets that only its owner can enter: in the data folder or, where its path is too long or its
 * file system doesn't support sockets (some network shares and foreign disks), a temporary one for this run.
 */
export async function makeSocketFolder(data: string): Promise<string> {
  const inData = join(data, "run");
  if (fits(inData)) {
    await rm(inData, { recursive: true, force: true });
    await mkdir(inData, { mode: 0o700 });
    if (await supportsSockets(inData)) return inData;
  }
  const temporary = [tmpdir(), "/tmp"].map((folder) => join(folder, "portolan-"));
  const prefix = temporary.find((path) => fits(`${path}XXXXXX`));
  if (prefix === undefined) throw new Error(`the path of ${tmpdir()} is too long for sockets; set TMPDIR`);
  return mkdtemp(prefix);
}

function fits(folder: string): boolean {
  return Buffer.byteLength(folder) + ROOM <= LONGEST_PATH;
}

async function supportsSockets(folder: string): Promise<boolean> {
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
