/** An isolate's memory: bounded by weight, and what was used longest ago goes first. */
import { describe, expect, test } from "vitest";
import { Memory } from "../../src/cache/memory.ts";

function held(memory: Memory<string>, ...keys: string[]): string[] {
  return keys.filter((key) => memory.get(key) !== null);
}

describe("memory", () => {
  test("has what was put into it, and null for the rest", () => {
    const memory = new Memory<string>(3);
    memory.set("a", "A");
    expect(memory.get("a")).toBe("A");
    expect(memory.get("b")).toBe(null);
  });

  test("forgets what was used longest ago, not what was put in first", () => {
    const memory = new Memory<string>(2);
    memory.set("a", "A");
    memory.set("b", "B");
    memory.get("a");
    memory.set("c", "C");
    expect(held(memory, "a", "b", "c")).toEqual(["a", "c"]);
  });

  test("forgets as many as the new one weighs, and never holds more than its capacity", () => {
    const memory = new Memory<string>(10);
    for (const key of ["a", "b", "c", "d", "e"]) memory.set(key, key, 2);
    memory.set("large", "", 5);
    expect(held(memory, "a", "b", "c", "d", "e", "large")).toEqual(["d", "e", "large"]);
    memory.set("small", "", 1);
    expect(held(memory, "d", "e", "large", "small")).toEqual(["d", "e", "large", "small"]);
  });

  test("doesn't take what is heavier than all of it, and forgets what that replaces, but nothing else", () => {
    const memory = new Memory<string>(10);
    memory.set("a", "A", 4);
    memory.set("b", "B", 4);
    memory.set("b", "too heavy", 11);
    expect(held(memory, "a", "b")).toEqual(["a"]);
  });

  test("counts what is replaced or deleted no longer", () => {
    const memory = new Memory<string>(10);
    for (let round = 0; round < 100; round++) memory.set("a", String(round), 6);
    expect(memory.get("a")).toBe("99");
    memory.set("b", "B", 4);
    expect(held(memory, "a", "b")).toEqual(["a", "b"]);
    memory.delete("a");
    memory.delete("a");
    memory.delete("never there");
    memory.set("c", "C", 6);
    expect(held(memory, "b", "c")).toEqual(["b", "c"]);
    memory.set("d", "D", 1);
    expect(held(memory, "b", "c", "d")).toEqual(["c", "d"]);
  });
});
