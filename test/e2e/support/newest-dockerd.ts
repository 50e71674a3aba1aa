// dockerd of the newest release, which no Debian has: DOCKERD names the program that .ci/run builds from its Go module. It runs in a
// newer Debian, whose containerd it uses.
import { dirname } from "node:path";
import type { DockerdKind } from "./dockerd.ts";
import { NEWER_CLIENTS, newer } from "./newer.ts";

const { DOCKERD = "" } = process.env;

/** False where one of them couldn't be had. */
export const HAS_NEWEST_DOCKERD = DOCKERD !== "" && NEWER_CLIENTS !== "";

/** containerd's image store is its default. */
export const NEWEST_DOCKERD: DockerdKind = {
  isolate: (hostsFile, command) => {
    const folder = dirname(hostsFile);
    return [
      // Of this machine's files, it sees that folder only.
      ...["sh", "-c", 'cp "$1" "$0/dockerd" && shift && exec "$@"', folder, DOCKERD],
      // It refuses the API version of Debian stable's `docker` by default.
      ...newer(hostsFile, [
        "env",
        `PATH=${folder}:/usr/sbin:/usr/bin`,
        "DOCKER_MIN_API_VERSION=1.41",
        ...command,
      ]),
    ];
  },
  storage: ["--storage-driver", "native"],
};
