import { expect, test } from "vitest";
import { boundedMap } from "../../src/registry/bounded-map.ts";

test("forgets the entry that was used least recently once there are too many", () => {
  const map = boundedMap<string, number>(3);
  for (const [at, name] of ["a", "b", "c"].entries()) map.set(name, at);
  map.get("a");
  map.set("d", 3);
  expect([...map.keys()].sort()).toEqual(["a", "c", "d"]);
  for (let at = 0; at < 10_000; at++) map.set(String(at), at);
  expect(map.size).toBe(3);
});

test("keeps entries for the given time by the given clock", () => {
  let now = 1_000;
  const map = boundedMap<string, number>(3, { ttl: 100, ttlResolution: 0, perf: { now: () => now } });
  map.set("a", 1);
  now += 100;
  expect(map.get("a")).toBe(1);
  now += 1;
  expect(map.get("a")).toBeUndefined();
});
