// Copies between two docker-registries, one with a login, as a user runs them: cut off and repeated, and through proxies
// that alone know the way. What came of them is read back by skopeo.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type Finished, spawnPortolan } from "../scripts/support/portolan.ts";
import { until } from "../sockets/support/deadline.ts";
import { startHttpProxy, startSocksProxy } from "../support/node/proxy.ts";
import { registriesConf } from "./support/configurations.ts";
import { DOCKER_TAG, REPOSITORIES, TAG } from "./support/global.ts";
import type { Manifests } from "./support/image.ts";
import { makeCertificate } from "./support/origin.ts";
import { workspace } from "./support/process.ts";
import { type Registry, startRegistry } from "./support/registry.ts";
import { startSkopeo } from "./support/skopeo.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const image = inject("image");
const repository = REPOSITORIES["ghcr.io"];
const NAME = { username: "pusher", password: "s3cret" };
/** The same in bcrypt, all that docker-registry reads. */
const HTPASSWD = "pusher:$2b$04$5nWR0TWFukkNHmmf19rK0OvgQpXu4FHNGaSZTOQ2pxDHjfRoNJ6Nm\n";

/** Both registries behind TLS, by names that this machine doesn't know. */
const SOURCE = "source.test";
const TARGET = "target.test";

let folder: string;
let target: Registry;
/** The same content without a login, to be looked at. */
let open: Registry;
let fronts: { source: Upstream; target: Upstream };
let secure: { source: Upstream; target: Upstream };
let certificate: string;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const { folder: made, remove } = await workspace("copy");
  folder = made;
  stops.unshift(remove);
  const htpasswd = join(folder, "htpasswd");
  await writeFile(htpasswd, HTPASSWD);
  target = await startRegistry({ auth: { htpasswd: { realm: "target", path: htpasswd } } });
  open = await startRegistry({ storage: target.storage });
  fronts = { source: await startUpstream(inject("registry")), target: await startUpstream(target.url) };
  const { key, cert } = await makeCertificate(folder, [SOURCE, TARGET]);
  certificate = cert;
  const tls = { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
  secure = {
    source: await startUpstream(inject("registry"), { tls }),
    target: await startUpstream(target.url, { tls }),
  };
  for (const each of [...Object.values(fronts), ...Object.values(secure), target, open])
    stops.unshift(each.stop);
  const auth = Buffer.from(`${NAME.username}:${NAME.password}`).toString("base64");
  await mkdir(join(folder, "docker"));
  const auths = { [host(fronts.target)]: { auth }, [TARGET]: { auth } };
  await writeFile(join(folder, "docker", "config.json"), JSON.stringify({ auths }));
});
afterAll(async () => {
  for (const stop of stops) await stop();
});
afterEach(() => {
  for (const front of [...Object.values(fronts), ...Object.values(secure)]) {
    front.interfere = () => null;
    front.requests.length = 0;
  }
});

function host({ url }: Upstream | Registry): string {
  return new URL(url).host;
}

interface RunOptions {
  environment?: Record<string, string>;
  kill?: AbortSignal;
}

function user(args: readonly string[], { environment = {}, kill }: RunOptions = {}): Promise<Finished> {
  const all = { DOCKER_CONFIG: join(folder, "docker"), NODE_EXTRA_CA_CERTS: certificate, ...environment };
  return spawnPortolan(args, { deadline: 60_000, environment: all, ...(kill && { kill }) });
}

/** What skopeo gets from the target, file by file, is what was published. */
async function expectWhole(name: string, tag: string, { index, amd64, arm64 }: Manifests): Promise<void> {
  const skopeo = await startSkopeo(registriesConf("target.invalid", host(open)));
  try {
    const { digest, blobs } = await skopeo.copy(`target.invalid/${name}:${tag}`, true);
    const parts = [amd64, arm64].flatMap(({ manifest, config, layers }) => [manifest, config, ...layers]);
    expect(digest).toBe(index.digest);
    expect(blobs).toEqual([...new Set([index, ...parts].map((part) => part.digest))].sort());
  } finally {
    await skopeo.stop();
  }
}

/** The blobs that a registry was requested the bytes of. */
function fetched({ requests }: Upstream): string[] {
  const got = requests.filter(
    ({ kind, method, status }) => kind === "blob" && method === "GET" && status < 300,
  );
  return got.map(({ digest }) => digest ?? "");
}

describe("copy", () => {
  test("without the login that the target wants says so, and sends nothing", async () => {
    const { code, errors } = await user(
      ["copy", `${host(fronts.source)}/${repository}:${TAG}`, `${host(fronts.target)}/denied/image`],
      { environment: { DOCKER_CONFIG: join(folder, "nowhere") } },
    );
    expect(code).toBe(1);
    expect(errors).toContain(`docker login ${host(fronts.target)}`);
    expect(fetched(fronts.source)).toEqual([]);
  });

  test("killed in the middle is repeated, and sends only what isn't there yet", async () => {
    const args = [
      ...["copy", `${host(fronts.source)}/${repository}:${TAG}`, `${host(fronts.target)}/killed/image`],
      ...["--all-platforms", "--parallel", "2"],
    ];
    const largest = image.amd64.layers.toSorted((one, other) => other.size - one.size)[0]?.digest ?? "";
    fronts.source.interfere = ({ digest, kind }) =>
      kind === "blob" && digest === largest ? { stallAfter: 20_000_000 } : null;
    const kill = new AbortController();
    const running = user(args, { kill: kill.signal });
    const parts = new Set(
      [image.amd64, image.arm64]
        .flatMap(({ config, layers }) => [config, ...layers])
        .map(({ digest }) => digest),
    );
    const committed = () =>
      fronts.target.requests.filter(
        ({ method, path, status }) => method === "PUT" && path.includes("/uploads/") && status === 201,
      );
    await until("all but the largest layer to be there", 30_000, () => committed().length === parts.size - 1);
    kill.abort();
    expect((await running).code).toBeNull();

    fronts.source.interfere = () => null;
    fronts.source.requests.length = 0;
    const { code, output } = await user(args);
    expect(output).toMatch(/is copied: 1 blob sent \(.* MB\)/);
    expect(code).toBe(0);
    expect(fetched(fronts.source)).toEqual([largest]);
    await expectWhole("killed/image", TAG, image);

    fronts.source.requests.length = 0;
    expect((await user(args)).output).toContain("is up to date");
    expect(fetched(fronts.source)).toEqual([]);
  });

  test("within a registry mounts every blob, and moves none", async () => {
    const [from, to] = ["killed/image", "mounted/image"].map((name) => `${host(fronts.target)}/${name}`);
    const { json } = await user(["copy", `${from}:${TAG}`, `${to}`, "--all-platforms", "--json"]);
    const blobs = new Set(
      [image.amd64, image.arm64]
        .flatMap(({ config, layers }) => [config, ...layers])
        .map(({ digest }) => digest),
    );
    expect(json()).toMatchObject({ digest: image.index.digest, sent: 0, mounted: blobs.size, present: 0 });
    expect(fetched(fronts.target)).toEqual([]);
  });

  test("goes on in chunks, and within one, when a gateway fails", async () => {
    let puts = 0;
    let chunks = 0;
    fronts.target.interfere = ({ method, path }) => {
      if (method === "PATCH") chunks += 1;
      if (method === "PUT" && path.includes("/uploads/")) puts += 1;
      const isFault = (method === "PUT" && puts === 1) || (method === "PATCH" && chunks === 2);
      return isFault ? { status: 503 } : null;
    };
    const { code, errors } = await user([
      ...["copy", `${host(fronts.source)}/${repository}:${TAG}`, `${host(fronts.target)}/gateway/image`],
      ...["--platform", "linux/arm64", "--parallel", "1", "--json"],
    ]);
    expect([code, errors]).toEqual([0, ""]);
    expect(chunks).toBeGreaterThan(2);
    const { config, layers } = image.arm64;
    const read = fetched(fronts.source);
    expect([...new Set(read)].sort()).toEqual([config, ...layers].map(({ digest }) => digest).sort());
    // What the gateway refused whole is read again, and the chunk isn't.
    expect(read.length).toBeLessThanOrEqual(new Set(read).size + 1);
  });

  test("begins only that layer again which was under way when the target was gone for a moment", async () => {
    let puts = 0;
    fronts.target.interfere = ({ method, path }) => {
      if (method === "PUT" && path.includes("/uploads/")) puts += 1;
      return null;
    };
    const running = user([
      ...["copy", `${host(fronts.source)}/${repository}:${TAG}`, `${host(fronts.target)}/gone/image`],
      ...["--all-platforms", "--parallel", "1"],
    ]);
    await until("the second blob to be under way", 30_000, () => puts >= 2);
    await fronts.target.stop();
    await fronts.target.start();
    const { code, errors } = await running;
    expect(errors).not.toContain("failed");
    expect(code).toBe(0);
    const read = fetched(fronts.source);
    expect(read.length).toBeLessThanOrEqual(new Set(read).size + 1);
    await expectWhole("gone/image", TAG, image);
  });
});

test("sync finds repositories and tags by patterns, and plans without copying", async () => {
  const list = join(folder, "images.txt");
  const source = host(fronts.source);
  await writeFile(list, `# all of ours\n${source}/port*/e2e:1.*-* ${host(fronts.target)}/planned/\n`);
  const { code, output } = await user(["sync", list, "--dry-run"]);
  expect(output).toBe(
    `${source}/${repository}:${DOCKER_TAG} → ${host(fronts.target)}/planned/${repository}:${DOCKER_TAG}\n1 image: 1 would be copied\n`,
  );
  expect(code).toBe(0);
  expect(fronts.target.requests.filter(({ method }) => method !== "HEAD" && method !== "GET")).toEqual([]);
});

describe("with direct access shut", () => {
  const from = `${SOURCE}/${repository}:${TAG}`;

  test("nothing is reached without a proxy", async () => {
    const { code, errors } = await user(["copy", from, `${TARGET}/direct/image`]);
    expect(code).toBe(1);
    expect(errors).toContain(`${SOURCE} can't be reached`);
  });

  test.each([
    ["HTTPS_PROXY", startHttpProxy],
    ["ALL_PROXY", startSocksProxy],
  ] as const)("copy and sync go through %s, encrypted and with the login", async (variable, start) => {
    const proxy = await start({
      [`${SOURCE}:443`]: port(secure.source),
      [`${TARGET}:443`]: port(secure.target),
    });
    const environment = { [variable]: proxy.url };
    const name = variable.toLowerCase().replace("_", "-");
    try {
      const args = ["copy", from, `${TARGET}/${name}/copied`, "--platform", "linux/arm64", "--json"];
      const copied = await user(args, { environment });
      // Not even a warning about the proxy.
      expect([copied.code, copied.errors]).toEqual([0, ""]);
      expect(copied.json()).toMatchObject({ state: "copied", digest: image.arm64.manifest.digest });

      const list = join(folder, `${name}.yaml`);
      const images = [{ from: `${SOURCE}/${repository}`, tags: ["1.*"] }, `${SOURCE}/portolan/none`];
      await writeFile(list, JSON.stringify({ to: `${TARGET}/${name}/`, images }));
      const first = await user(["sync", list], { environment });
      expect(first.output).toContain("3 images: 2 copied, 1 failed");
      expect(first.errors).toMatch(
        /Not copied:\n✗ source\.test\/portolan\/none:latest → .*NAME_UNKNOWN|MANIFEST_UNKNOWN/,
      );
      expect(first.code).toBe(1);
      await expectWhole(`${name}/${repository}`, TAG, image);
      const docker = await fetch(`${open.url}/v2/${name}/${repository}/manifests/${DOCKER_TAG}`, {
        headers: { Accept: image.docker.index.mediaType },
      });
      expect(docker.headers.get("docker-content-digest")).toBe(image.docker.index.digest);

      secure.source.requests.length = 0;
      const again = await user(["sync", list, "--json"], { environment });
      const { images: outcomes } = again.json() as { images: { state: string; sent?: number }[] };
      expect(outcomes.map(({ state }) => state).sort()).toEqual(["failed", "unchanged", "unchanged"]);
      expect(fetched(secure.source)).toEqual([]);

      expect([...proxy.requested.keys()].sort()).toEqual([`${SOURCE}:443`, `${TARGET}:443`]);
      const sent = secure.target.requests.filter(({ method }) => method === "PUT");
      expect(sent.length).toBeGreaterThan(0);
      expect(sent.every(({ authorized }) => authorized)).toBe(true);
    } finally {
      await proxy.stop();
    }
  });

  test.each([
    ["HTTPS_PROXY", startHttpProxy],
    ["ALL_PROXY", startSocksProxy],
  ] as const)(
    "verify, inspect and warm go through %s as well, to the publisher and to the mirror",
    async (variable, start) => {
      const proxy = await start({
        [`${SOURCE}:443`]: port(secure.source),
        [`${TARGET}:443`]: port(secure.target),
      });
      const environment = { [variable]: proxy.url };
      const mirror = ["--mirror", `https://${TARGET}`];
      try {
        const copied = await user(["copy", from, `${TARGET}/${repository}`, "--all-platforms"], {
          environment,
        });
        expect(copied.code).toBe(0);
        for (const args of [
          ["verify", from, ...mirror, "--deep"],
          ["inspect", from, ...mirror],
          ["warm", from, ...mirror],
        ]) {
          proxy.requested.clear();
          const { code, errors } = await user(args, { environment });
          expect([args[0], code, errors]).toEqual([args[0], 0, expect.not.stringMatching(/proxy/i)]);
          expect(proxy.requested.get(`${TARGET}:443`)).toBeGreaterThan(0);
          for (const name of proxy.requested.keys())
            expect([`${SOURCE}:443`, `${TARGET}:443`]).toContain(name);
          expect((await user(args)).code, `${args[0]} without a proxy`).not.toBe(0);
        }
      } finally {
        await proxy.stop();
      }
    },
  );

  test("plain http goes through HTTP_PROXY too, if --insecure allows it", async () => {
    const proxy = await startHttpProxy({ [`${SOURCE}:80`]: port(fronts.source) });
    const environment = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url };
    try {
      const args = ["copy", from, `${host(fronts.target)}/plain/image`];
      const refused = await user(args, { environment });
      expect(refused.code).toBe(1);
      const copied = await user([...args, "--insecure", "--platform", "linux/arm64", "--json"], {
        environment,
      });
      expect(copied.json()).toMatchObject({ digest: image.arm64.manifest.digest });
      expect(proxy.requested.get(`${SOURCE}:80`)).toBeGreaterThan(0);
    } finally {
      await proxy.stop();
    }
  });
});

function port(front: Upstream): number {
  return Number(new URL(front.url).port);
}
