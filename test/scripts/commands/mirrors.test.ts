/** `portolan mirrors` over sockets: what it measures, and what it recommends. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { behaviours } from "../../support/fake-registry.ts";
import { type Harbour, harbours, IMAGE, launch, REPOSITORY } from "../support/fleet.ts";
import { portolan, UNREACHABLE } from "../support/portolan.ts";
import { Start } from "../support/start.ts";

const NEW = "2026-03-11T00:00:00Z";
const OLD = "2026-03-01T00:00:00Z";

/** Nothing but this machine can be reached, docker.io neither. */
const OFFLINE = { HTTPS_PROXY: UNREACHABLE };

let fleet: Awaited<ReturnType<typeof harbours>>;
let publisher: Harbour;
let fresh: Harbour;
let stale: Harbour;
let wrong: Harbour;
let limited: Harbour;

beforeEach(async () => {
  fleet = await harbours(5);
  [publisher, fresh, stale, wrong, limited] = fleet.all as [Harbour, Harbour, Harbour, Harbour, Harbour];
  await launch(publisher, "old", OLD);
  await launch(stale, "old", OLD);
  for (const each of [publisher, fresh, wrong, limited]) await launch(each, "new", NEW);
  const quota = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "97;w=21600" };
  fresh.registry.fail({ kind: "manifest" }, behaviours.changedHeaders(quota));
  wrong.registry.fail({ kind: "blob", method: "GET" }, behaviours.corrupted());
  limited.registry.fail({ kind: "manifest" }, behaviours.tooManyRequests(3600));
});
afterEach(() => fleet.close());

function mirrors(urls: readonly string[], ...more: string[]) {
  const given = urls.flatMap((url) => ["--mirror", url]);
  const args = ["mirrors", "--only-given", "--image", IMAGE, ...given, ...more];
  return portolan(args, { environment: OFFLINE });
}

test("each is measured, ranked, and the configuration that follows is printed", async () => {
  const urls = [UNREACHABLE, limited.url, wrong.url, stale.url, fresh.url];
  const { code, output, errors } = await mirrors(urls, "--against", publisher.url);
  expect(errors).not.toContain("✗");
  expect(code).toBe(0);
  const host = (url: string) => new URL(url).host;
  const row = (url: string) => output.split("\n").find((line) => line.includes(`${host(url)} `)) ?? "";
  expect(row(fresh.url)).toMatch(/^ {2}1 .* \d+ ms .*B {2}right +fresh +97 of 100 pulls left in 6 hours$/);
  expect(row(stale.url)).toMatch(/^ {2}2 .* right +10 days behind$/);
  expect(row(wrong.url)).toMatch(/^ {5}127.* wrong /);
  expect(row(limited.url)).toMatch(/limits you for 60 minutes$/);
  expect(row(UNREACHABLE)).toMatch(/can't be reached: nothing listens there$/);

  const daemon = /daemon\.json:\n(.*?\n {2}\})/s.exec(output)?.[1] ?? "";
  expect(JSON.parse(daemon)).toEqual({ "registry-mirrors": [fresh.url] });
  const endpoints = `${fresh.url},${stale.url}`;
  expect(output).toContain(
    `Portolan; docker.io can't be reached from here, so that a mirror resolves its tags:
  npm start -- --upstream docker.io=${endpoints} --insecure docker.io
  ! ${host(fresh.url)} decides what tags of docker.io point to: use it only if you trust it\n`,
  );
  expect(output).toContain(`2 of 5 can be used, 1 of them for tags too; best is ${host(fresh.url)}`);
});

test("a registry that can be reached stays the primary", async () => {
  const { host } = new URL(publisher.url);
  const image = `${host}/${REPOSITORY}:1.0`;
  const { output } = await portolan(["mirrors", "--only-given", "--image", image, "--mirror", stale.url]);
  expect(output).toContain(
    `Portolan, which asks them for digests only and the registry itself for tags:
  npm start -- --upstream 127.0.0.1=${publisher.url},${stale.url} --insecure 127.0.0.1\n`,
  );
  expect(output).not.toContain("trust");
});

test("where the registry doesn't respond, the newest that two mirrors have is taken for what it has", async () => {
  const urls = [stale.url, fresh.url, publisher.url];
  const { code, output } = await mirrors(urls);
  const row = (url: string) =>
    output.split("\n").find((line) => line.includes(`${new URL(url).host} `)) ?? "";
  expect(row(fresh.url)).toMatch(/ right +as others /);
  expect(row(publisher.url)).toMatch(/ right +as others$/);
  expect(row(stale.url)).toMatch(/^ {2}3 .* right +unlike others$/);
  const [, primary = "", second = ""] = /--upstream docker\.io=([^, ]+),([^, ]+),/.exec(output) ?? [];
  expect([primary, second].sort()).toEqual([fresh.url, publisher.url].sort());
  expect(output).toContain(
    `  ! ${new URL(primary).host} decides what tags of docker.io point to: use it only`,
  );
  const daemon = JSON.parse(/daemon\.json:\n(.*?\n {2}\})/s.exec(output)?.[1] ?? "{}");
  expect(daemon["registry-mirrors"]).not.toContain(stale.url);
  expect(code).toBe(0);
});

test("Portolan, started as is recommended, resolves tags where the registry can't be reached", async () => {
  const { output } = await mirrors([stale.url, fresh.url, publisher.url]);
  const [, recommended = ""] = /npm start -- (.+)/.exec(output) ?? [];
  const folder = await mkdtemp(join(tmpdir(), "portolan-mirrors-"));
  onTestFinished(() => rm(folder, { recursive: true, maxRetries: 5 }));
  const started = new Start(["--port", "0", ...recommended.split(" ")], { folder, environment: OFFLINE });
  onTestFinished(() => started.stop());
  const url = await started.ready();
  const tag = await fetch(`${url}/v2/${REPOSITORY}/manifests/1.0`);
  const expected = await fetch(`${publisher.url}/v2/${REPOSITORY}/manifests/1.0`);
  expect(tag.status).toBe(200);
  expect(tag.headers.get("Docker-Content-Digest")).toBe(expected.headers.get("Docker-Content-Digest"));
});

test("where the publisher doesn't respond, freshness isn't guessed, and no mirror is recommended for tags", async () => {
  const { code, output, errors } = await mirrors([stale.url], "--against", UNREACHABLE);
  expect(errors).toContain("Whether tags are fresh is unknown: ");
  expect(output).not.toContain("daemon.json");
  expect(output).toContain(`--upstream docker.io=${stale.url} --insecure docker.io\n`);
  expect(output).toContain(
    "decides what tags of docker.io point to, and nothing confirms them now: use it only",
  );
  expect(output).toContain("1 of 1 can be used, 0 of them for tags too");
  expect(code).toBe(0);
});

test("none that can be used exits with 1", async () => {
  const { code, output } = await mirrors([wrong.url], "--against", publisher.url);
  expect(output).toContain("None of 1 can be used");
  expect(code).toBe(1);
});

test("mirrors of a list are measured, of one's own list too, and each once", async () => {
  const home = await mkdtemp(join(tmpdir(), "portolan-mirrors-"));
  onTestFinished(() => rm(home, { recursive: true }));
  await mkdir(join(home, "portolan"));
  await writeFile(
    join(home, "portolan/mirrors.yaml"),
    `docker.io: [${fresh.url}/, ${stale.url}]\nghcr.io: [${wrong.url}]`,
  );
  await writeFile(join(home, "given.yaml"), `docker.io:\n  - ${fresh.url}\n`);
  // The public mirrors are out of reach: no test may depend on them, or disturb them.
  const environment = { XDG_CONFIG_HOME: home, ...OFFLINE };
  const measured = async (...args: string[]) => {
    const all = ["mirrors", "--image", IMAGE, "--against", publisher.url, "--json", ...args];
    const found = (await portolan(all, { environment, cwd: home })).json() as { mirror: { url: string } }[];
    return found.map(({ mirror }) => mirror.url);
  };
  const urls = await measured("--list", "given.yaml");
  expect(urls.slice(0, 2)).toEqual([fresh.url, stale.url]);
  expect(urls).toContain("https://mirror.gcr.io");
  expect(urls).not.toContain(wrong.url);
  expect(new Set(urls).size).toBe(urls.length);
  expect(await measured("--only-given", "--list", "given.yaml")).toEqual([fresh.url]);
});

test("a list that is wrong or missing exits with 2, and says where", async () => {
  const home = await mkdtemp(join(tmpdir(), "portolan-mirrors-"));
  onTestFinished(() => rm(home, { recursive: true }));
  await mkdir(join(home, "portolan"));
  const list = join(home, "portolan/mirrors.yaml");
  await writeFile(list, "docker.io:\n  - mirror.example.com\n");
  const own = await portolan(["mirrors"], { environment: { XDG_CONFIG_HOME: home } });
  expect([own.code, own.errors]).toEqual([
    2,
    `✗ ${list}, line 2: a mirror must be a URL such as https://mirror.example.com, without a login in it\n`,
  ]);
  const missing = await portolan(["mirrors", "--only-given", "--list", "none.yaml"], { cwd: home });
  expect([missing.code, missing.errors]).toEqual([2, `✗ there is no list ${join(home, "none.yaml")}\n`]);
});

test("--json prints the figures", async () => {
  const reported = (await mirrors([fresh.url], "--against", publisher.url, "--json")).json();
  expect(reported).toMatchObject([
    { mirror: { url: fresh.url, registry: "docker.io" }, isCorrect: true, freshness: "same", isUsable: true },
  ]);
  expect((reported as { speed: number }[])[0]?.speed).toBeGreaterThan(0);
});
