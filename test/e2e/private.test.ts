// What an operator's credential could open, and clients without a login: skopeo, podman, crane where it is installed, and
// requests as no client sends them. Nothing private reaches any of them, and the registry's log shows why.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addKey } from "../../src/access/key-changes.ts";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { createFakeRegistry, type Image, profiles } from "../support/fake-registry.ts";
import { listen } from "../support/node/listen.ts";
import { startOrigin } from "./support/origin.ts";
import { startPodman } from "./support/podman.ts";
import { isolated, run, workspace } from "./support/process.ts";
import { type Served, serve } from "./support/served.ts";
import { startSkopeo } from "./support/skopeo.ts";

const OWNER = { username: "owner", password: "hunter2" };
/** One line of the registry's log: a request for content, and the user it was authorized for. */
interface LoggedRequest {
  as: "anonymous" | "operator";
  method: string;
  path: string;
  status: number;
}

const registry = createFakeRegistry({ ...profiles["ghcr.io"], redirect: "none", credentials: [OWNER] });
const log: LoggedRequest[] = [];
const stops: (() => Promise<void>)[] = [];
let isHeadLimited = false;
let environment: Record<string, string>;

beforeAll(async () => {
  const operators = new Set<string>();
  const server = await listen(async (request) => {
    const { method, headers, url } = request;
    const { pathname: path } = new URL(url);
    const shown = headers.get("Authorization") ?? "";
    const as = operators.has(shown) || shown.startsWith("Basic") ? "operator" : "anonymous";
    if (isHeadLimited && method === "HEAD" && as === "anonymous")
      return new Response(null, { status: 429, headers: { "Retry-After": "30" } });
    const response = await registry.fetch(request);
    if (path === registry.settings.tokenPath) {
      if (as === "operator" && response.ok)
        operators.add(`Bearer ${JSON.parse(await response.clone().text()).token}`);
    } else log.push({ as, method, path, status: response.status });
    return response;
  });
  stops.unshift(server.close);
  // Under its own name, by https: to an upstream within the network other rules apply.
  const origin = await startOrigin(server.url);
  stops.unshift(origin.stop);
  environment = { NODE_EXTRA_CA_CERTS: origin.environment.SSL_CERT_FILE };
});
afterEach(() => {
  isHeadLimited = false;
  registry.clearFaults();
});
afterAll(async () => {
  for (const stop of stops) await stop();
});

async function start(variables: Record<string, string>): Promise<Served> {
  const secrets = { UPSTREAM_CREDENTIALS: JSON.stringify({ "ghcr.io": [OWNER] }) };
  const mirror = await serve({ "ghcr.io": "https://ghcr.io" }, environment, { ...secrets, ...variables });
  stops.unshift(mirror.stop);
  return mirror;
}

/** Everything that an image is made of, below its repository. */
function partsOf({ target, configs, layers }: Image): string[] {
  return [`manifests/${target.digest}`, ...[...configs, ...layers].map(({ digest }) => `blobs/${digest}`)];
}

/** Requests for the same object in all the ways in which a mirror could reveal or serve it. */
async function statuses(url: string, headers: Record<string, string> = {}): Promise<number[]> {
  const requests: RequestInit[] = [
    { method: "HEAD" },
    {},
    { headers: { Range: "bytes=0-3" } },
    { headers: { "If-None-Match": "*" } },
    { headers: { Authorization: "Bearer x" } },
    { headers: { "X-Forwarded-Host": "ghcr.io", "CF-Connecting-IP": "127.0.0.1", "MF-Original-URL": url } },
  ];
  const found: number[] = [];
  for (const init of requests) {
    const response = await fetch(url, { ...init, headers: { ...init.headers, ...headers } });
    await response.body?.cancel();
    found.push(response.status);
  }
  return found;
}

const REFUSALS = [401, 403, 404, 429, 503];

async function expectNothing(
  base: string,
  rests: readonly string[],
  headers: Record<string, string> = {},
): Promise<void> {
  for (const rest of rests) {
    for (const status of await statuses(`${base}/${rest}`, headers))
      expect([rest, REFUSALS.includes(status) || status]).toEqual([rest, true]);
  }
}

const hasCrane = spawnSync("crane", ["version"]).status === 0;

/** Pulls with each client, none of which has a login; each rejects if its pull fails. */
async function pullers(host: string): Promise<Record<string, (reference: string) => Promise<unknown>>> {
  const skopeo = await startSkopeo("");
  const podman = await startPodman(`[[registry]]\nlocation = "${host}"\ninsecure = true\n`);
  const { folder, hosts, remove } = await workspace("crane");
  stops.unshift(skopeo.stop, podman.stop, remove);
  const insecure = ["--src-no-creds", "--src-tls-verify=false"];
  const crane = (reference: string) =>
    run(isolated(hosts, ["crane", "pull", "--insecure", reference, join(folder, "image.tar")]), {
      environment: { HOME: join(folder, "home") },
    });
  return {
    skopeo: (reference) => skopeo.copy(reference, false, insecure),
    podman: (reference) => podman.pull(reference),
    ...(hasCrane ? { crane } : {}),
  };
}

/** The operator's credential was used only for content that an anonymous HEAD had been allowed before. */
function expectAnonymousFirst(): void {
  log.forEach(({ as, path }, at) => {
    if (as === "anonymous") return;
    const before = log.slice(0, at);
    const isGiven = before.some(
      (each) =>
        each.as === "anonymous" && each.method === "HEAD" && each.path === path && each.status === 200,
    );
    expect([path, isGiven]).toEqual([path, true]);
  });
}

const operatorFor = (name: string): LoggedRequest[] =>
  log.filter(({ as, path }) => as === "operator" && path.startsWith(`/v2/${name}/`));

describe("an open mirror with a credential", () => {
  let mirror: Served;
  let base: string;
  let pull: Record<string, (reference: string) => Promise<unknown>>;
  const reference = (name: string): string => `${new URL(mirror.url).host}/ghcr.io/${name}`;
  beforeAll(async () => {
    mirror = await start({});
    base = `${mirror.url}/v2/ghcr.io`;
    pull = await pullers(new URL(mirror.url).host);
  });

  const everyPull = (name: string) =>
    Promise.all(Object.entries(pull).map(([client, by]) => by(reference(name)).then(() => client)));
  const expectEveryPullRefused = (name: string) =>
    Promise.all(
      Object.values(pull).map((by) =>
        expect(by(reference(name))).rejects.toThrow(/denied|unauthorized|forbidden|toomanyrequests|429|403/i),
      ),
    );

  test("serves nothing of a public repository that becomes private, except what was stored", async () => {
    await registry.addImage("owner/flips", "1");
    await everyPull("owner/flips:1");
    // What the rule below is about.
    expect(operatorFor("owner/flips").length).toBeGreaterThan(0);
    registry.setVisibility("owner/flips", "private");
    const secret = await registry.addImage("owner/flips", "2");
    log.length = 0;
    await expectEveryPullRefused("owner/flips:2");
    await expectNothing(`${base}/owner/flips`, ["manifests/2", "tags/list", ...partsOf(secret)]);
    expect(operatorFor("owner/flips")).toEqual([]);
  });

  test("serves nothing of a private repository whose tag list is public", async () => {
    // An anonymous token, which then grants no content.
    registry.settings.deniedScope = "grant-nothing";
    const secret = await registry.addImage("owner/listed", "1");
    registry.setVisibility("owner/listed", "private");
    registry.fail({ kind: "tags" }, { status: 200, body: '{"name":"owner/listed","tags":["1"]}' });
    expect((await fetch(`${base}/owner/listed/tags/list`)).status).toBe(200);
    await expectEveryPullRefused("owner/listed:1");
    await expectNothing(`${base}/owner/listed`, ["manifests/1", ...partsOf(secret)]);
    expect((await fetch(`${base}/owner/listed/tags/list`)).status).toBe(200);
    await expectNothing(`${base}/owner/listed`, ["manifests/1"]);
    // Nor what it is made of, through a repository that is public.
    await registry.addImage("library/public", "1");
    expect((await fetch(`${base}/library/public/manifests/1`)).status).toBe(200);
    await expectNothing(`${base}/library/public`, partsOf(secret));
    expect(operatorFor("owner/listed")).toEqual([]);
  });

  test("doesn't use it while anonymous HEADs are limited, for what is public either", async () => {
    await registry.addImage("owner/limited", "1");
    const secret = await registry.addImage("owner/closed", "1");
    registry.setVisibility("owner/closed", "private");
    isHeadLimited = true;
    const from = log.length;
    expect((await everyPull("owner/limited:1")).length).toBe(Object.keys(pull).length);
    await expectEveryPullRefused("owner/closed:1");
    await expectNothing(`${base}/owner/closed`, ["manifests/1", "tags/list", ...partsOf(secret)]);
    expect(log.slice(from).filter(({ as }) => as === "operator")).toEqual([]);
  });

  test("has used it only after an anonymous HEAD of the very object", expectAnonymousFirst);
});

describe("a mirror for holders of keys, with PRIVATE", () => {
  test("serves a restricted key nothing of a repository that has become private", async () => {
    let list: WrittenKey[] = [];
    const keys: Record<string, { Authorization: string }> = {};
    for (const [name, allow] of Object.entries({ all: [], narrow: ["ghcr.io/library/*"] })) {
      const made = await addKey(list, name, { allow, deny: [], expires: null, rate: null });
      list = made.list;
      keys[name] = { Authorization: `Basic ${Buffer.from(`x:${made.key}`).toString("base64")}` };
    }
    const { all = {}, narrow = {} } = keys;
    const mirror = await start({
      ACCESS_KEYS: JSON.stringify(list),
      PRIVATE: "ghcr.io/owner/*",
      TAG_TTL: "1",
    });
    const base = `${mirror.url}/v2/ghcr.io`;
    const statusOf = async (rest: string, headers: Record<string, string>) => {
      const response = await fetch(`${base}/${rest}`, { headers });
      await response.body?.cancel();
      return response.status;
    };

    await registry.addImage("library/demo", "1");
    expect(await statusOf("library/demo/manifests/1", narrow)).toBe(200);
    await registry.addImage("owner/turns", "1");
    expect(await statusOf("owner/turns/manifests/1", all)).toBe(200);
    registry.setVisibility("owner/turns", "private");
    const secret = await registry.addImage("owner/turns", "2");
    log.length = 0;
    // Its visibility is forgotten with the first refusal; from then on it is requested with the operator's identity.
    await expect.poll(() => statusOf("owner/turns/manifests/2", all)).toBe(200);
    for (const part of partsOf(secret))
      expect([part, await statusOf(`owner/turns/${part}`, all)]).toEqual([part, 200]);
    expect(operatorFor("owner/turns").length).toBeGreaterThan(0);

    const look = async () => {
      await expectNothing(`${base}/owner/turns`, ["manifests/2", ...partsOf(secret)], narrow);
      for (const key of [narrow, all]) await expectNothing(`${base}/library/demo`, partsOf(secret), key);
      await expectNothing(`${base}/owner/turns`, ["manifests/2", ...partsOf(secret)]);
    };
    await look();
    registry.fail({ path: /./ }, { status: 503 });
    await look();
  });
});
