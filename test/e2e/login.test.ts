// Users' own logins: passed through to the upstream they are for where the mirror is set up for that, and otherwise never
// sent to a mirror at all.
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { startHub } from "./support/hub.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { workspace } from "./support/process.ts";
import { pulledImageOf, referenceOf } from "./support/pulls.ts";
import { type Recorder, startRecorder } from "./support/recorder.ts";
import { startRegistry } from "./support/registry.ts";

const LOGIN = { username: "alice", password: "wonderland" };
/** The password, as docker-registry has it: bcrypt, by `crypt(3)` with the salt `$2y$05$abcdefghijklmnopqrstuu`. */
const HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuuA0vov2GDneHB3.8.cv9UF9g.RdvScIW\n";

/** Docker's error messages, which depend on the mirror's challenge. */
const NOT_LET_IN = /unauthorized|denied|authentication required|no basic auth credentials/i;

const image = inject("image");
const stops: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Two kinds of upstream that require the login; each returns its base URL. */
const UPSTREAMS = {
  "takes a user name and a password": async (): Promise<string> => {
    const { folder, remove } = await workspace("htpasswd");
    stops.unshift(remove);
    const path = join(folder, "htpasswd");
    await writeFile(path, HTPASSWD);
    const auth = { htpasswd: { realm: "private", path } };
    const registry = await startRegistry({ storage: inject("storage"), auth });
    stops.unshift(registry.stop);
    return registry.url;
  },
  "gives tokens": async (): Promise<string> => {
    const hub = await startHub(inject("registry"), inject("storage"), LOGIN);
    stops.unshift(hub.stop);
    return hub.upstream.url;
  },
};

describe.each(Object.entries(UPSTREAMS))("docker login to an upstream that %s, by the mirror", (_, start) => {
  const path = `${REPOSITORIES["ghcr.io"]}/manifests/${TAG}`;
  const blob = `${REPOSITORIES["ghcr.io"]}/blobs/${image.amd64.layers[0]?.digest}`;
  let stage: Stage;
  let docker: Dockerd;
  let host: string;
  let reference: string;
  beforeAll(async () => {
    stage = await startStage(await start(), { UPSTREAMS: JSON.stringify({ "ghcr.io": { login: true } }) });
    stops.unshift(stage.stop);
    docker = await startDockerd(stage.url);
    stops.unshift(docker.stop);
    host = `ghcr.mirror.test:${stage.port}`;
    reference = `${host}/${REPOSITORIES["ghcr.io"]}:${TAG}`;
  });

  /** The response to an HTTP client, by the upstream's own host or another host of the mirror. */
  async function statusOf(path: string, authorization: string | null, onOwnHost = true): Promise<number> {
    const [base, Host] = onOwnHost ? [`${stage.url}/v2`, host] : [`${stage.url}/v2/ghcr.io`, "127.0.0.1"];
    const headers = { Host, ...(authorization === null ? {} : { Authorization: authorization }) };
    return status(`${base}/${path}`, headers);
  }

  test("before any login, nothing is served", async () => {
    await expect(docker.pull(reference)).rejects.toThrow(NOT_LET_IN);
  });

  test("a wrong password is refused at the login", async () => {
    await expect(docker.login(host, LOGIN.username, "jabberwocky")).rejects.toThrow(/unauthorized|denied/i);
  });

  test("the right one is taken, and the private image pulled", async () => {
    await docker.login(host, LOGIN.username, LOGIN.password);
    expect(await docker.pull(reference)).toEqual(pulledImageOf(image));
    await stage.settled();
  });

  test("stored content is served to no other client", async () => {
    await docker.configure({});
    await expect(docker.pull(reference)).rejects.toThrow(NOT_LET_IN);
    for (const object of [path, blob]) {
      for (const authorization of [null, `Basic ${base64("alice:jabberwocky")}`, "Bearer invalid-token"]) {
        expect([401, 403]).toContain(await statusOf(object, authorization));
      }
      // The login is valid on its own host only: a mirror that accepted it elsewhere would challenge Docker users.
      const right = `Basic ${base64(`${LOGIN.username}:${LOGIN.password}`)}`;
      for (const authorization of [null, right]) {
        expect([401, 403, 404]).toContain(await statusOf(object, authorization, false));
      }
    }
  });

  test("nor while upstream is down", async () => {
    await stage.upstreams["ghcr.io"].stop();
    for (const object of [path, blob]) {
      for (const isOwn of [true, false])
        expect(await statusOf(object, null, isOwn)).toBeGreaterThanOrEqual(401);
    }
  });

  test("the log has neither the password nor a token", () => {
    const logged = JSON.stringify(stage.records) + JSON.stringify(stage.messages);
    expect(logged).toContain(path);
    const secrets = [LOGIN.password, base64(`${LOGIN.username}:${LOGIN.password}`), "Bearer ", "Basic "];
    for (const secret of secrets) expect(logged).not.toContain(secret);
  });
});

/** fetch sets Host by itself. */
function status(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const requested = request(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    requested.once("error", reject);
    requested.end();
  });
}

describe("dockerd of a user who is logged in to Docker Hub", () => {
  const secrets = ["hubster-password", base64("hubster:hubster-password")];
  const isTold = (): boolean => secrets.some((secret) => recorder.sent().includes(secret));
  let recorder: Recorder;
  let docker: Dockerd;

  beforeAll(async () => {
    const open = await startStage(inject("registry"));
    stops.unshift(open.stop);
    recorder = await startRecorder(open.url);
    stops.unshift(recorder.stop);
    docker = await startDockerd(recorder.url);
    stops.unshift(docker.stop);
    await docker.configure({ auths: { "https://index.docker.io/v1/": { auth: secrets[1] } } });
  });

  test("doesn't send it to an open mirror", async () => {
    expect(await docker.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
    expect(recorder.sent()).toContain(`/v2/${REPOSITORIES["docker.io"]}/manifests/${TAG}`);
    expect(recorder.sent()).not.toMatch(/authorization/i);
    expect(isTold()).toBe(false);
  });

  // Shows that the test above can fail; docs/security.md warns of it.
  test("would send it to a mirror that challenges it", async () => {
    const key = { name: "another", hash: "0".repeat(64) };
    const keyed = await startStage(inject("registry"), {
      ACCESS: "keys",
      ACCESS_KEYS: JSON.stringify([key]),
    });
    stops.unshift(keyed.stop);
    recorder.leadTo(keyed.url);
    await expect(docker.pull(referenceOf("docker.io"))).rejects.toThrow();
    expect(isTold()).toBe(true);
  });
});
