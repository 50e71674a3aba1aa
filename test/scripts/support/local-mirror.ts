/** A mirror as `npm start` runs it, of one fake registry, and its owner's commands. Each test starts with an empty data folder. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { createFakeRegistry } from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { type Finished, portolan } from "./portolan.ts";

/** Milliseconds until what the mirror records can be read: it gathers records for five seconds. */
export const RECORDED = { timeout: 50_000, interval: 500 };

/** To be called at the top of a test file; the fake registry is mirrored as `registry.test`. */
export function useLocalMirror(options: Partial<MirrorOptions> = {}) {
  const fake = createFakeRegistry({ auth: "none" });
  let upstream: ListeningRegistry;
  let data: string;
  let mirror: RunningMirror;

  const start = async (): Promise<void> => {
    mirror = await startMirror({
      port: 0,
      host: "127.0.0.1",
      data,
      upstreams: { "registry.test": [upstream.url] },
      insecure: ["registry.test"],
      ...options,
    });
  };
  beforeAll(async () => {
    upstream = await listen(fake);
  });
  afterAll(() => upstream.close());
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), "portolan-local-"));
    await start();
  });
  afterEach(async () => {
    await mirror.stop();
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  });

  return {
    fake,
    get upstream() {
      return upstream.url;
    },
    get data() {
      return data;
    },
    get url() {
      return mirror.url;
    },
    restart: async (): Promise<void> => {
      await mirror.stop();
      await start();
    },
    /** Requests something of a repository of the fake registry: `owner/image/manifests/1.0`. */
    pull: async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${mirror.url}/v2/registry.test/${path}`, { headers });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    command: (...args: string[]): Promise<Finished> =>
      portolan([...args, "--mirror", mirror.url, "--data", data]),
    /** Hexadecimal digits of the digests of stored manifests and blobs, sorted. */
    stored: async (): Promise<string[]> => {
      const entries = await readdir(join(data, "store"), { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() && /(blobs|manifests)\//.test(`${entry.parentPath}/`))
        .map(({ name }) => name)
        .sort();
    },
  };
}
