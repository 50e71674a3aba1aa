// The container image: built from the Dockerfile on a base of this machine's Debian packages, run as compose.yaml runs it, and pulled through.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { parse } from "yaml";
import { type Dockerd, startDockerdWith } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { freePort, run, waitFor, workspace } from "./support/process.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const BASE_IMAGE = fileURLToPath(new URL("support/base-image.sh", import.meta.url));
/** Milliseconds: vfs copies all files with every step of the Dockerfile. */
const BUILD_DEADLINE = 600_000;
const LARGEST = 250_000_000;
/** As the Dockerfile says. */
const USER = 65532;

interface Service {
  read_only: boolean;
  tmpfs: string[];
  cap_drop: string[];
  security_opt: string[];
  volumes: string[];
  environment: Record<string, string>;
}

describe("the container image", () => {
  let place: Awaited<ReturnType<typeof workspace>>;
  let dockerd: Dockerd;
  let port: number;

  beforeAll(async () => {
    place = await workspace("container");
    dockerd = await startDockerdWith([]);
    port = await freePort();
    await build();
    await start();
  }, BUILD_DEADLINE);
  afterAll(async () => {
    await dockerd?.stop();
    await place?.remove();
  });

  async function build(): Promise<void> {
    const archive = join(place.folder, "base.tar");
    const node = join(PROJECT, "node_modules/node/bin/node");
    const { NODE_EXTRA_CA_CERTS = "", PATH = "", HOME = "" } = process.env;
    await run(["sh", "-c", 'sh "$@" >"$0"', archive, BASE_IMAGE, node, join(place.folder, "base")], {
      environment: { PATH, HOME },
    });
    const certificates = ["--change", `ENV NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS}`];
    await dockerd.command(["import", ...certificates, archive, "base"]);
    const registry = (await run(["npm", "config", "get", "registry"], { environment: { HOME } })).trim();
    const settings = ["BASE=base", `NPM_CONFIG_REGISTRY=${registry}`].flatMap((each) => [
      "--build-arg",
      each,
    ]);
    await dockerd.command(
      ["build", "--network", "host", ...settings, "--tag", "portolan", PROJECT],
      BUILD_DEADLINE,
    );
  }

  /** With the settings of compose.yaml, but for the network: this dockerd has none of its own. */
  async function start(): Promise<void> {
    const compose = parse(await readFile(join(PROJECT, "compose.yaml"), "utf8"));
    const service: Service = compose.services.portolan;
    expect(service.read_only).toBe(true);
    await dockerd.command([
      ...["run", "--detach", "--name", "mirror", "--network", "host", "--read-only"],
      ...service.tmpfs.flatMap((each) => ["--tmpfs", each]),
      ...service.cap_drop.flatMap((each) => ["--cap-drop", each]),
      ...service.security_opt.flatMap((each) => ["--security-opt", each]),
      ...service.volumes.flatMap((each) => ["--volume", each]),
      ...Object.entries(service.environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
      ...[
        "portolan",
        "--port",
        `${port}`,
        "--upstream",
        `docker.io=${inject("registry")}`,
        "--insecure",
        "docker.io",
      ],
    ]);
    await waitFor("the container to serve", 30_000, async () => {
      return (await fetch(`http://127.0.0.1:${port}/_/health`)).ok;
    });
  }

  async function inspected(what: "container" | "image", name: string, format: string): Promise<string> {
    return (await dockerd.command([what, "inspect", "--format", format, name])).trim();
  }

  test("takes less than 250 MB", async () => {
    const bytes = Number(await inspected("image", "portolan", "{{.Size}}"));
    expect(bytes).toBeGreaterThan(100_000_000);
    expect(bytes).toBeLessThan(LARGEST);
  });

  test("contains neither a bundler nor what only deploys and tests need", async () => {
    const script = 'console.log(require("node:fs").readdirSync("/app/node_modules").join(" "))';
    const packages = (await dockerd.command(["exec", "mirror", "node", "--eval", script])).trim().split(" ");
    expect(packages).toContain("workerd");
    for (const name of ["esbuild", "wrangler", "miniflare", "vitest", "node"]) {
      expect(packages).not.toContain(name);
    }
  });

  test("a real client pulls through it, cold and warm", async () => {
    const reference = `127.0.0.1:${port}/${REPOSITORIES["docker.io"]}:${TAG}`;
    const { index, amd64, verdict } = inject("image");
    for (let time = 0; time < 2; time++) {
      expect(await dockerd.pull(reference)).toEqual({ digest: index.digest, config: amd64.config.digest });
      expect(await dockerd.run(reference)).toBe(verdict);
      await dockerd.command(["image", "rm", reference]);
    }
  });

  test("runs as a user without rights, and can write to its volume only", async () => {
    const script = `
      const { accessSync, constants, statSync } = require("node:fs");
      const isWritable = (path) => { try { accessSync(path, constants.W_OK); return true; } catch { return false; } };
      const writable = ["/", "/app", "/bin", "/etc", "/usr/local/bin", "/data"].filter(isWritable);
      const { uid, mode } = statSync("/data/store");
      console.log(JSON.stringify({ user: process.getuid(), writable, owner: uid, mode: mode & 0o777 }));`;
    const state = JSON.parse(await dockerd.command(["exec", "mirror", "node", "--eval", script]));
    expect(state).toEqual({ user: USER, writable: ["/data"], owner: USER, mode: 0o700 });
  });

  test("its health check tells a mirror that serves from one that doesn't", async () => {
    const check = ["/app/scripts/container/health.js"];
    expect(await inspected("image", "portolan", "{{index .Config.Healthcheck.Test 2}}")).toBe(check[0]);
    await dockerd.command(["exec", "mirror", "node", ...check]);
    const without = ["run", "--rm", "--network", "host", "--entrypoint", "node", "portolan", ...check];
    await expect(dockerd.command([...without, "--port", `${await freePort()}`])).rejects.toThrow(
      "ended with 1",
    );
  });

  test("portolan runs in it, and keeps keys on the volume", async () => {
    const portolan = (...args: string[]) => dockerd.command(["exec", "mirror", "portolan", ...args]);
    await portolan("key", "add", "alice");
    expect(JSON.parse(await portolan("key", "list", "--json"))).toMatchObject({
      file: "/data/access-keys.json",
      keys: [{ name: "alice" }],
    });
  });

  test("stops in good order", async () => {
    await dockerd.command(["stop", "mirror"]);
    expect(await inspected("container", "mirror", "{{.State.ExitCode}}")).toBe("0");
  });
});
