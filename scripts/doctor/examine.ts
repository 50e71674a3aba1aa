/** Goes through everything that a pull through the mirror rests on, and says of each whether it is as it should be. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { mirrorSource } from "../image/sources.ts";
import type { Network } from "../registry/network.ts";
import type { ImageReference } from "../registry/reference.ts";
import { type RemoteRepository, remoteOf, urlAt } from "../registry/remote.ts";
import type { Check } from "./check.ts";
import { judgeClock, type Reading } from "./clock.ts";
import { examineConnection } from "./connection.ts";
import { examineContent, greet, type Tools } from "./content.ts";
import { type DockerInfoResult, judgeDocker, readDockerInfo } from "./docker.ts";

export interface DoctorOptions extends Tools {
  mirror: string;
  /** A small image that is pulled for a look. */
  reference: ImageReference;
  platform: string;
  /** Where else a mirror may be: the usual address, that in the environment. */
  known: readonly string[];
}

/** Milliseconds for a look at somewhere else. */
const GLANCE = 3_000;

export async function examine(options: DoctorOptions): Promise<Check[]> {
  const { mirror, reference, platform, network, known } = options;
  const { remote } = mirrorSource(mirror, reference);
  const docker = await readDockerInfo(options.env);
  const elsewhere = async () => {
    const others = [...known, ...mirrorsIn(docker)].filter((each) => each !== mirror);
    const found = await firstReachable(others, reference, network);
    if (found !== null) return `A mirror answers at ${found}: use that address, here with --mirror ${found}.`;
    if (!isLoopback(remote.endpoint)) return "Start the mirror there, or check the address and the port.";
    return "Start the mirror with `npm start`, and see which port it says that it listens on.";
  };
  const way = await examineConnection(remote.endpoint, options.env, elsewhere);
  const checks = [...way];
  const readings: Reading[] = [];
  if (way.every(({ state }) => state !== "bad")) {
    const greeting = await greet(remote, isLoopback(remote.endpoint), options, elsewhere);
    checks.push(...greeting.checks);
    if (greeting.reading) readings.push(greeting.reading);
    if (greeting.isRegistry) checks.push(...(await examineContent(remote, reference, platform, options)));
  }
  readings.push(...(await readClock(remoteOf(reference), network)));
  return [...checks, judgeClock(readings), judgeDocker(docker, mirror)];
}

function mirrorsIn(docker: DockerInfoResult): string[] {
  return "info" in docker ? (docker.info.RegistryConfig?.Mirrors ?? []) : [];
}

async function firstReachable(
  mirrors: readonly string[],
  reference: ImageReference,
  { fetch }: Network,
): Promise<string | null> {
  for (const mirror of new Set(mirrors.map((each) => each.replace(/\/+$/, "")))) {
    try {
      const { remote } = mirrorSource(mirror, reference);
      const response = await fetch(urlAt(remote, ""), { signal: AbortSignal.timeout(GLANCE) });
      await response.body?.cancel();
      const isPage = /html/.test(response.headers.get("content-type") ?? "");
      if (!isPage && [200, 401].includes(response.status)) return mirror;
    } catch {
      // Not there either.
    }
  }
  return null;
}

/** What the time is at the registry itself, if it can be reached from here; that isn't needed for anything else. */
async function readClock(remote: RemoteRepository, { fetch }: Network): Promise<Reading[]> {
  try {
    const response = await fetch(urlAt(remote, ""), { signal: AbortSignal.timeout(GLANCE) });
    await response.body?.cancel();
    const { host } = remote.endpoint;
    return [
      { host, isHere: isLoopback(remote.endpoint), date: response.headers.get("date"), at: Date.now() },
    ];
  } catch {
    return [];
  }
}
