/** Which tags mirrors confirm for one another where the registry can't be asked. */
import { expect, test } from "vitest";
import { withAgreement } from "../../../scripts/mirrors/agreement.ts";
import type { Measured } from "../../../scripts/mirrors/rank.ts";
import { measured } from "./measured.ts";

const IMAGE = "docker.io/library/alpine:latest";
const [OLD, NEW, NEWEST] = [1_000, 2_000, 3_000];

function having(url: string, made: number | null, more: Partial<Measured> = {}): Measured {
  return measured(url, {
    freshness: null,
    tags: [{ image: IMAGE, digest: `sha256:${made}`, made }],
    ...more,
  });
}

function agreement(...all: Measured[]): (boolean | null)[] {
  return withAgreement(all).map(({ agrees }) => agrees);
}

const [one, two, three, four] = [
  "https://one.test",
  "https://two.test",
  "https://three.test",
  "https://four.test",
];

test("the newest that two operators have is confirmed, whatever more of them have", () => {
  const old = [having("https://a.test", OLD), having("https://b.test", OLD), having("https://c.test", OLD)];
  expect(agreement(having(one, NEW), having(two, NEW), ...old)).toEqual([true, true, false, false, false]);
});

test("what one operator alone has isn't, however new it says it is", () => {
  expect(agreement(having(one, NEWEST), having(two, NEW), having(three, NEW))).toEqual([false, true, true]);
  expect(agreement(having(one, NEWEST), having(two, NEW))).toEqual([null, null]);
});

test("several mirrors under one domain are one operator; ports of an address aren't", () => {
  const [first, second] = ["https://docker.m.example.com", "https://m.example.com/v2/docker.io"];
  expect(agreement(having(first, NEW), having(second, NEW))).toEqual([null, null]);
  expect(agreement(having("http://10.0.0.1:1", NEW), having("http://10.0.0.1:2", NEW))).toEqual([true, true]);
  expect(agreement(having("http://[fd00::1]:1", NEW), having("http://[fd00::1]:2", NEW))).toEqual([
    true,
    true,
  ]);
});

test("images without a date are confirmed too, after all that have one", () => {
  expect(agreement(having(one, null), having(two, null))).toEqual([true, true]);
  expect(agreement(having(one, null), having(two, null), having(three, OLD), having(four, OLD))).toEqual([
    ...[false, false],
    ...[true, true],
  ]);
});

test("of several images, a mirror must have each as it is confirmed", () => {
  const other = { image: "docker.io/library/nginx:latest", made: NEW };
  const both = (url: string, digest: string) => {
    const { tags } = having(url, NEW);
    return measured(url, { freshness: null, tags: [...tags, { ...other, digest }] });
  };
  expect(agreement(both(one, "sha256:a"), both(two, "sha256:a"), both(three, "sha256:b"))).toEqual([
    ...[true, true, false],
  ]);
});

test("a mirror that was compared with the registry, or failed, neither confirms nor is judged", () => {
  const compared = having(one, NEW, { freshness: "stale" });
  const failed = having(two, NEW, { problem: "is too slow to send a layer" });
  expect(agreement(compared, failed, having(three, NEW))).toEqual([null, null, null]);
});
