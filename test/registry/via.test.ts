import { expect, test } from "vitest";
import { appendVia, isLoop, passesOf, viaOf } from "../../src/registry/via.ts";

const OWN = viaOf("ours");

test("our entry comes behind those that a request was received with", () => {
  expect(appendVia("", OWN)).toBe("1.1 portolan-ours");
  expect(appendVia("1.0 fred, 1.1 p.example.net (Apache/1.1)", OWN)).toBe(
    "1.0 fred, 1.1 p.example.net, 1.1 portolan-ours",
  );
});

test.each(["Bearer secret", "secret", "1.1 a b", "1.1", "1.1 (secret)", "1.1 x (a, b)\t, ,", 'x"y"'])(
  "what is no entry isn't passed on: %j",
  (received) => {
    expect(appendVia(received, OWN)).toMatch(/^(1\.1 x, )?1\.1 portolan-ours$/);
  },
);

test.each([
  ["", 0],
  ["1.1 portolan-theirs", 0],
  ["1.1 portolan-ours", 1],
  ["1.1 portolan-ours-too", 0],
  ["1.1  portolan-ours (by way of)", 1],
  ["1.1 portolan-ours,1.1 nginx, 1.1 portolan-ours", 2],
])("of %j, so many entries are ours: %i", (received, passes) => {
  expect(passesOf(received, OWN)).toBe(passes);
});

test("what has passed us twice is a loop, and so is what has passed very many mirrors or anything", () => {
  const through = (count: number, name = "theirs") =>
    Array.from({ length: count }, (_, index) => `1.1 portolan-${name}${index}`).join(", ");
  expect(isLoop("", OWN)).toBe(false);
  expect(isLoop(`${OWN}, 1.1 nginx`, OWN)).toBe(false);
  expect(isLoop(`${OWN}, 1.1 portolan-theirs, ${OWN}`, OWN)).toBe(true);
  expect(isLoop(through(10), OWN)).toBe(false);
  expect(isLoop(through(11), OWN)).toBe(true);
  expect(isLoop(`1.1 nginx, ${"x".repeat(2000)}`, OWN)).toBe(true);
});
