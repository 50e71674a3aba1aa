/** `portolan mirrors` over sockets: what it measures, and what it recommends. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { behaviours } from "../../support/fake-registry.ts";
import { type Harbour, harbours, IMAGE, launch } from "../support/fleet.ts";
import { portolan, UNREACHABLE } from "../support/portolan.ts";

const NEW = "2026-03-11T00:00:00Z";
const OLD = "2026-03-01T00:00:00Z";

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
  return portolan(["mirrors", "--no-list", "--image", IMAGE, ...given, ...more]);
}

test("each is measured, ranked, and the configuration that follows is printed", async () => {
  const urls = [UNREACHABLE, limited.url, wrong.url, stale.url, fresh.url];
  const { code, output, errors } = await mirrors(urls, "--against", publisher.url);
  expect(errors).toBe("");
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
  const endpoints = `https://registry-1.docker.io,${fresh.url},${stale.url}`;
  expect(output).toContain(`  npm start -- --upstream docker.io=${endpoints} --insecure docker.io\n`);
  expect(output).toContain(`2 of 5 can be used, 1 of them for tags too; best is ${host(fresh.url)}`);
});

test("where the publisher doesn't respond, freshness isn't guessed, and no mirror is recommended for tags", async () => {
  const { code, output, errors } = await mirrors([stale.url], "--against", UNREACHABLE);
  expect(errors).toContain("Whether tags are fresh is unknown: ");
  expect(output).not.toContain("daemon.json");
  expect(output).toContain("1 of 1 can be used, 0 of them for tags too");
  expect(code).toBe(0);
});

test("none that can be used exits with 1", async () => {
  const { code, output } = await mirrors([wrong.url], "--against", publisher.url);
  expect(output).toContain("None of 1 can be used");
  expect(code).toBe(1);
});

test("--json prints the figures", async () => {
  const reported = (await mirrors([fresh.url], "--against", publisher.url, "--json")).json();
  expect(reported).toMatchObject([
    { mirror: { url: fresh.url, registry: "docker.io" }, isCorrect: true, freshness: "same", isUsable: true },
  ]);
  expect((reported as { speed: number }[])[0]?.speed).toBeGreaterThan(0);
});
