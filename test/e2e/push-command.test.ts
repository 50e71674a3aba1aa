// `portolan push` from Docker and podman, through a proxy that refuses large bodies, and pulled back.
import { randomBytes } from "node:crypto";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { type LimitingProxy, startLimitingProxy } from "../scripts/support/limiting-proxy.ts";
import { type Finished, spawnPortolan } from "../scripts/support/portolan.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { CLIENT_DEADLINE, isolated, run, startDaemon, workspace } from "./support/process.ts";
import { tar } from "./support/tar.ts";

const LIMIT = 1_000_000;
const CONTENT = 3_500_000;

let place: Awaited<ReturnType<typeof workspace>>;
let mirror: RunningMirror;
let proxy: LimitingProxy;

beforeAll(async () => {
  place = await workspace("push");
  mirror = await startMirror({ port: 0, host: "127.0.0.1", data: join(place.folder, "data") });
  proxy = await startLimitingProxy(() => mirror.url, LIMIT);
  const content = randomBytes(CONTENT);
  await writeFile(join(place.folder, "root.tar"), tar([{ type: "file", path: "content", content }]));
});
afterAll(async () => {
  proxy?.close();
  await mirror?.stop();
  await place?.remove();
});

function push(args: readonly string[], socket: string): Promise<Finished> {
  return spawnPortolan(["push", ...args, "--max-body", "1MB"], {
    deadline: CLIENT_DEADLINE,
    cwd: place.folder,
    environment: { DOCKER_HOST: socket, TMPDIR: place.folder },
  });
}

describe("dockerd", () => {
  let docker: Dockerd;

  beforeAll(async () => {
    docker = await startDockerd(mirror.url);
    await docker.command(["import", join(place.folder, "root.tar"), "myapp:1.0"]);
  });
  afterAll(() => docker?.stop());

  test("can't push the image itself, and pulls back what the command has pushed", async () => {
    const name = `${proxy.host}/hosted/team/myapp:1.0`;
    await docker.command(["tag", "myapp:1.0", name]);
    await expect(docker.command(["push", name])).rejects.toThrow("error parsing HTTP 413 response body");
    const id = (await docker.command(["image", "inspect", "--format", "{{.Id}}", name])).trim();

    proxy.requests = [];
    const pushed = await push(["myapp:1.0", `http://${name}`], docker.socket);
    expect([pushed.code, pushed.output]).toEqual([0, expect.stringContaining(`✓ ${name} is pushed`)]);
    expect(Math.max(...proxy.requests.map(({ bytes }) => bytes))).toBe(LIMIT);

    await docker.clean();
    expect((await docker.pull(`${new URL(mirror.url).host}/hosted/team/myapp:1.0`)).config).toBe(id);
  });
});

test("podman's image, by its name there, is pulled back by podman", async () => {
  const { folder, hosts } = place;
  const podman = [
    ...[
      "podman",
      "--root",
      join(folder, "root"),
      "--runroot",
      join(folder, "runroot"),
      "--tmpdir",
      join(folder, "tmp"),
    ],
    ...["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"],
  ];
  const environment = { HOME: join(folder, "home") };
  const command = (...rest: string[]) =>
    run(isolated(hosts, [...podman, ...rest]), { deadline: CLIENT_DEADLINE, environment });
  const policy = join(folder, "policy.json");
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  await command("import", "--quiet", join(folder, "root.tar"), "boat:1.0");
  const socket = join(folder, "podman.sock");
  const service = await startDaemon({
    name: "podman",
    command: isolated(hosts, [...podman, "system", "service", "--time=0", `unix://${socket}`]),
    folder,
    environment,
    ready: () => access(socket).then(() => true),
  });
  try {
    const pushed = await push(["localhost/boat:1.0", "--mirror", `http://${proxy.host}`], `unix://${socket}`);
    const name = `${proxy.host}/hosted/boat:1.0`;
    expect([pushed.code, pushed.output]).toEqual([0, expect.stringContaining(`✓ ${name} is pushed`)]);
    const id = await command("image", "inspect", "--format", "{{.Id}}", "localhost/boat:1.0");
    await command("rmi", "--all", "--force");
    await command("pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, name);
    expect(await command("image", "inspect", "--format", "{{.Id}}", name)).toBe(id);
  } finally {
    await service.stop();
  }
});
