/** Docker's API as a source and target of `copy`; test/e2e has the real one. */
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { socketIn } from "../../../scripts/archive/daemon.ts";
import { type DockerArchive, dockerArchive, layerOf } from "../support/docker-archive.ts";
import { indexOf, manifestAt } from "../support/layout.ts";
import { type Finished, portolan } from "../support/portolan.ts";

let folder: string;
let docker: Server;
let archive: DockerArchive;
let requests: { line: string; body: Buffer }[];
let respond: (response: ServerResponse, request: IncomingMessage) => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "daemon-"));
  archive = dockerArchive(["boat:1.0"], [layerOf("one")]);
  await writeFile(join(folder, "boat.tar"), archive.bytes());
  requests = [];
  respond = (response) => response.end(archive.bytes());
  docker = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => Buffer.from("cut"));
    requests.push({ line: `${request.method} ${request.url}`, body });
    respond(response, request);
  }).listen(join(folder, "docker.sock"));
  await once(docker, "listening");
});
afterEach(async () => {
  docker.close();
  docker.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

function copy(from: string, to: string, host = `unix://${folder}/docker.sock`): Promise<Finished> {
  const environment = { TMPDIR: folder, DOCKER_HOST: host };
  return portolan(["copy", from, to], { cwd: folder, environment });
}

describe("as a source", () => {
  test("Docker is requested the image by its full name, and nothing of it stays on disk", async () => {
    expect(await copy("docker-daemon:boat:1.0", "oci:layout")).toMatchObject({ code: 0 });
    expect(requests.map(({ line }) => line)).toEqual(["GET /images/docker.io/library/boat:1.0/get"]);
    const [{ digest = "" } = {}] = await indexOf(join(folder, "layout"));
    expect((await manifestAt(join(folder, "layout"), digest)).config.digest).toBe(archive.id);
    expect((await readdir(folder)).sort()).toEqual(["boat.tar", "docker.sock", "layout"]);
  });

  test("an ID is requested as one", async () => {
    expect(await copy(`docker-daemon:${archive.id}`, "oci:layout")).toMatchObject({ code: 0 });
    expect(requests.map(({ line }) => line)).toEqual([`GET /images/${archive.id}/get`]);
  });

  test("what Docker refuses is reported in its words", async () => {
    respond = (response) => response.writeHead(404).end(JSON.stringify({ message: "No such image" }));
    const { code, errors } = await copy("docker-daemon:none:1.0", "oci:layout");
    expect(errors).toContain("Docker answered 404 for docker.io/library/none:1.0: No such image");
    expect(code).toBe(1);
  });

  test("an archive that breaks off is reported", async () => {
    respond = (response) => {
      response.writeHead(200, { "Content-Length": String(archive.bytes().length) });
      response.write(archive.bytes().subarray(0, 1000), () => response.destroy());
    };
    const { code, errors } = await copy("docker-daemon:boat:1.0", "oci:layout");
    expect(errors).toContain("docker-daemon:docker.io/library/boat:1.0: aborted");
    expect(code).toBe(1);
    expect((await readdir(folder)).sort()).toEqual(["boat.tar", "docker.sock"]);
  });
});

describe("as a target", () => {
  const load = () => copy("docker-archive:boat.tar", "docker-daemon:ship:2.0");

  test("Docker gets an archive with the name that was given", async () => {
    respond = (response) => response.end('{"stream":"Loaded image: ship:2.0"}\n');
    expect(await load()).toMatchObject({ code: 0 });
    const [{ line = "", body = Buffer.alloc(0) } = {}] = requests;
    expect(line).toBe("POST /images/load?quiet=1");
    await writeFile(join(folder, "loaded.tar"), body);
    expect(await copy("docker-archive:loaded.tar:ship:2.0", "oci:layout")).toMatchObject({ code: 0 });
  });

  test("an error after 200 is reported", async () => {
    respond = (response) => response.end('{"stream":"Loading"}\n{"error":"no space left on device"}\n');
    const { code, errors } = await load();
    expect(errors).toContain("✗ Docker can't load the image: no space left on device");
    expect(code).toBe(1);
  });

  test("a refusal is reported", async () => {
    respond = (response) => response.writeHead(500).end('{"message":"out of order"}');
    expect((await load()).errors).toContain("Docker answered 500 for the image: out of order");
  });

  test("a copy that fails isn't loaded: the request is cut", async () => {
    const broken = [...archive.entries.keys()].find((path) => path.startsWith("layer-")) ?? "";
    archive.entries.set(broken, { type: "file", path: broken, content: layerOf("two") });
    await writeFile(join(folder, "boat.tar"), archive.bytes());
    const { code, errors } = await load();
    expect(errors).toMatch(/layer-0\/layer\.tar is sha256:\w+, though it should be/);
    expect(code).toBe(1);
    for (const { body } of requests) expect(String(body)).toBe("cut");
  });

  test("what can't be in Docker is refused before anything is sent", async () => {
    const { errors } = await portolan(["copy", "boat", "docker-daemon:ship:2.0", "--referrers"], {
      cwd: folder,
    });
    expect(errors).toContain("docker-daemon: can't hold what refers to an image; leave out --referrers");
    expect(requests).toEqual([]);
  });
});

test("where no Docker listens, its socket is named", async () => {
  const { code, errors } = await copy(
    "docker-archive:boat.tar",
    "docker-daemon:x:1",
    "unix:///nonexistent/docker.sock",
  );
  expect(errors).toMatch(/✗ Docker can't be reached at \/nonexistent\/docker\.sock: .*ENOENT/);
  expect(code).toBe(1);
});

test("podman's socket is used where there is no Docker", () => {
  const user = "/run/user/1000/podman/podman.sock";
  const environment = { XDG_RUNTIME_DIR: "/run/user/1000" };
  expect(socketIn(environment, (path) => path !== "/var/run/docker.sock")).toBe(user);
  expect(socketIn({}, (path) => path === "/run/podman/podman.sock")).toBe("/run/podman/podman.sock");
  expect(socketIn(environment, () => true)).toBe("/var/run/docker.sock");
});

test("DOCKER_HOST names the socket, and nothing else than a socket", () => {
  expect(socketIn({}, () => false)).toBe("/var/run/docker.sock");
  expect(socketIn({ DOCKER_HOST: "unix:///run/user/1000/docker.sock" })).toBe("/run/user/1000/docker.sock");
  for (const host of ["tcp://127.0.0.1:2375", "ssh://host", "unix://relative"]) {
    expect(() => socketIn({ DOCKER_HOST: host })).toThrow(`DOCKER_HOST is ${host}`);
  }
});
