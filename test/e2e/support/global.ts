// Builds the image and fills the registry once for all test files, and in the end looks whether anything was left.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestProject } from "vitest/node";
import { buildImage, type ImageFacts } from "./image.ts";
import { push, startRegistry } from "./registry.ts";

/** The image's name in each upstream: never the same, so that a mirror that mixes them up is found out. */
export const REPOSITORIES = {
  "docker.io": "library/portolan-e2e",
  "ghcr.io": "portolan/e2e",
} as const;
export const TAG = "1.0";
/** The tag of the image with Docker's own media types. */
export const DOCKER_TAG = "1.0-docker";

declare module "vitest" {
  export interface ProvidedContext {
    /** Base URL of docker-registry. */
    registry: string;
    /** Where it keeps its files, for another one over the same content. */
    storage: string;
    image: ImageFacts;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Every temporary folder of this run is inside this one, so that a process left behind is known by its command line.
  const folder = await mkdtemp(join(tmpdir(), "portolan-e2e-"));
  process.env.TMPDIR = folder;
  const [image, registry] = await Promise.all([buildImage(), startRegistry()]);
  const end = async (): Promise<void> => {
    await registry.stop();
    const left = await processesThatStay(folder);
    await rm(folder, { recursive: true, force: true });
    if (left.length > 0) {
      // vitest prints an error of its own teardown but still exits with 0.
      process.exitCode = 1;
      throw new Error(["the tests left behind:", ...left].join("\n  "));
    }
  };
  try {
    for (const repository of Object.values(REPOSITORIES)) {
      await push(registry.url, repository, TAG, image.facts, image.content);
      await push(registry.url, repository, DOCKER_TAG, image.facts.docker, image.content);
    }
  } catch (error) {
    await end();
    throw error;
  }
  project.provide("registry", registry.url);
  project.provide("storage", registry.storage);
  project.provide("image", image.facts);
  return end;
}

/** What still runs after the seconds that the kernel may take to end what was killed. */
async function processesThatStay(folder: string): Promise<string[]> {
  let left = await processesIn(folder);
  for (let tries = 0; left.length > 0 && tries < 50; tries += 1) {
    await sleep(100);
    left = await processesIn(folder);
  }
  return left;
}

/** The command lines that name the folder. */
async function processesIn(folder: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return lines.filter((line) => line.includes(folder)).map((line) => line.replaceAll("\0", " "));
}
