/** Which mirrors are recommended, in which order, and in which configuration. */
import { describe, expect, test } from "vitest";
import { daemonJson, primaryFor, upstreamOption } from "../../../scripts/mirrors/client-configuration.ts";
import { isUsable, rank } from "../../../scripts/mirrors/rank.ts";
import { rateLimit, refusal } from "../../../scripts/mirrors/rate-limit.ts";
import { RegistryFailure } from "../../../scripts/registry/failure.ts";
import { measured } from "./measured.ts";

const fast = measured("https://fast.test", { speed: 9e6 });
const near = measured("https://near.test", { firstByte: 5 });
const plain = measured("https://plain.test");
const stale = measured("https://stale.test", { freshness: "stale", behind: 86_400, speed: 99e6 });
const wrong = measured("https://wrong.test", { isCorrect: false, speed: 99e6 });
const forged = measured("https://forged.test", { freshness: "different", speed: 99e6 });
const dead = measured("https://dead.test", { problem: "doesn't respond", speed: null, isCorrect: null });
const path = measured("https://path.test/v2/docker.io", { speed: 8e6 });
const ghcr = measured("https://ghcr.test", { mirror: { url: "https://ghcr.test", registry: "ghcr.io" } });

const ranked = rank([dead, wrong, plain, forged, stale, near, fast]);

test("fresh ones come before faster ones, and those that can't be used last", () => {
  expect(ranked.slice(0, 4)).toEqual([fast, near, plain, stale]);
  expect(ranked.slice(4).some(isUsable)).toBe(false);
});

describe("Docker", () => {
  test("is given fresh mirrors without a path, three at most", () => {
    const more = measured("https://more.test", { speed: 1 });
    const mirrors = ["https://fast.test", "https://near.test", "https://plain.test"];
    const text = daemonJson(rank([...ranked, path, more, ghcr]));
    expect(JSON.parse(text ?? "")).toEqual({ "registry-mirrors": mirrors });
  });

  test("is given those whose tags others confirm, where the registry can't be asked", () => {
    const confirmed = measured("https://confirmed.test", { freshness: null, agrees: true });
    const alone = measured("https://alone.test", { freshness: null, agrees: false, speed: 9e6 });
    const text = daemonJson(rank([alone, confirmed]));
    expect(JSON.parse(text ?? "")).toEqual({ "registry-mirrors": ["https://confirmed.test"] });
  });

  test("is given none where all are stale", () => {
    expect(daemonJson([stale])).toBeNull();
  });
});

describe("Portolan", () => {
  const publisher = "https://registry-1.docker.io";

  test("is given the registry itself first, and stale ones too: it asks fallbacks for digests only", () => {
    expect(upstreamOption([stale, wrong], "docker.io", publisher)).toBe(
      "--upstream docker.io=https://registry-1.docker.io,https://stale.test",
    );
  });

  test("is given a path as its endpoints have it", () => {
    expect(upstreamOption([path], "docker.io", publisher)).toContain(",https://path.test/docker.io");
  });

  test("accepts a mirror without encryption only with the option that says so", () => {
    const plain = measured("http://127.0.0.1:8787");
    expect(upstreamOption([plain], "docker.io", publisher)).toBe(
      "--upstream docker.io=https://registry-1.docker.io,http://127.0.0.1:8787 --insecure docker.io",
    );
  });

  test("is given the best mirror as the primary of a registry that can't be reached, and three others", () => {
    const more = measured("https://more.test", { speed: 1 });
    const all = rank([more, ...ranked]);
    expect(upstreamOption(all, "docker.io", null)).toBe(
      "--upstream docker.io=https://fast.test,https://near.test,https://plain.test,https://more.test",
    );
    expect(primaryFor(all, "docker.io")).toBe(fast);
    expect(upstreamOption([wrong, dead], "docker.io", null)).toBeNull();
    expect(primaryFor([wrong, dead], "docker.io")).toBeNull();
  });

  test("is given nothing for a registry whose mirrors can't be used", () => {
    expect(upstreamOption([dead, ghcr], "docker.io", publisher)).toBeNull();
  });
});

test("limits are read as Docker Hub writes them", () => {
  const headers = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "97;w=21600" };
  expect(rateLimit(new Headers(headers))).toBe("97 of 100 pulls left in 6 hours");
  expect(rateLimit(new Headers({ "ratelimit-limit": "200" }))).toBe("200 pulls");
  expect(rateLimit(new Headers())).toBeNull();
});

test("refusals are shown in few words", () => {
  const words = (status: number, wait: number | null = null) =>
    refusal(new RegistryFailure(status, null, "the whole story", wait));
  expect(words(429, 3600)).toBe("limits you for 60 minutes");
  expect(words(401)).toBe("wants a login");
  expect(words(0)).toBe("the whole story");
  expect(words(502)).toBe("answers 502");
});
