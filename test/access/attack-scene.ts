/** Shared by the tests of attacks on a mirror behind keys: a mirror with a private image, and what it sent and logged. */
import { beforeEach, vi } from "vitest";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";
import { basic, KEY, KEYED } from "./keyed.ts";

export const OWNER = { username: "owner", password: "hunter2" };
export const ALICE = { username: "alice", password: "wonderland" };
export const SECRET = patternBytes(20_000, 7);
export const LOGIN_HOST = `ghcr-${KEY}.example.com`;

/** Called at the top of a test file. */
export function useAttackScene() {
  const mirror = useMirror({
    ...KEYED,
    PRIVATE: ["docker.io/owner/*"],
    UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
    UPSTREAMS: { "ghcr.io": { login: true }, "registry.corp.example.net": {} },
    // Content that was taken away is waited for while the lease of its fill lasts.
    TIMING: { fillPatience: 100, fillLook: 5, upstream: { retryPause: 4 } },
  });
  const scene = {
    mirror,
    /** The private image, `owner/secret:latest` of docker.io. */
    secret: undefined as unknown as Image,
    /** The paths of its manifest, config and layer. */
    privatePaths: [] as string[],
    /** Every line logged. */
    logged: [] as string[],
    pull: (path: string, init: RequestInit & { host?: string } = {}): Promise<MirrorResponse> =>
      mirror.request(path, { ...init, headers: { ...basic(KEY), ...init.headers } }),
    /** The distinct statuses of the private image's paths, by GET and HEAD. */
    async statuses(): Promise<number[]> {
      const answers: number[] = [];
      for (const path of scene.privatePaths) {
        for (const method of ["HEAD", "GET"]) answers.push((await scene.pull(path, { method })).status);
      }
      return [...new Set(answers)];
    },
    later(milliseconds: number): void {
      mirror.clock.ahead += milliseconds;
      mirror.newIsolate();
    },
    everythingSent: (): string =>
      JSON.stringify([mirror.docker.requests, mirror.ghcr.requests, mirror.network.strays]),
  };

  beforeEach(async () => {
    mirror.docker.settings.credentials = [OWNER];
    mirror.ghcr.settings.credentials = [ALICE];
    await mirror.docker.addImage("library/demo", "latest");
    scene.secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
    mirror.docker.setVisibility("owner/secret", "private");
    scene.privatePaths = [
      "manifests/latest",
      `manifests/${scene.secret.target.digest}`,
      `blobs/${scene.secret.configs[0]?.digest}`,
      `blobs/${scene.secret.layers[0]?.digest}`,
    ].map((rest) => `/v2/owner/secret/${rest}`);
    scene.logged = [];
    for (const name of ["log", "warn", "error"] as const) {
      vi.spyOn(console, name).mockImplementation(
        (...words: unknown[]) => void scene.logged.push(words.join(" ")),
      );
    }
  });
  return scene;
}
