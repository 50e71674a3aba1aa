// How far a registry's answers may lead, by name, by address, and by what a name resolves to.
import type { LookupAddress } from "node:dns";
import { describe, expect, test } from "vitest";
import { mayReach, Reach } from "../../../scripts/registry/reach.ts";

describe("a registry's answers", () => {
  test.each([
    ["https://registry.example.com", "https://storage.example.net"],
    ["https://registry.corp", "https://10.0.0.1"],
    ["https://registry.corp", "https://storage.example.net"],
    ["http://127.0.0.1:5000", "http://127.0.0.1:9000"],
    ["http://localhost:5000", "https://10.0.0.1"],
    ["https://10.0.0.1", "https://10.0.0.1:9000"],
  ])("from %s may lead to %s", (from, to) => {
    expect(mayReach(new URL(from), new URL(to))).toBe(true);
  });

  test.each([
    ["https://registry.example.com", "https://10.0.0.1"],
    ["https://registry.example.com", "https://registry.corp"],
    ["https://registry.example.com", "http://127.0.0.1:2375"],
    ["https://registry.example.com", "http://[::1]"],
    ["https://registry.example.com", "http://[::ffff:127.0.0.1]"],
    ["https://registry.example.com", "http://2130706433"],
    ["https://registry.corp", "http://127.0.0.1:2375"],
    ["https://10.0.0.1", "http://localhost"],
    ["https://10.0.0.1", "http://169.254.169.254"],
    ["https://10.0.0.1", "http://[fe80::1]"],
    ["https://10.0.0.1", "http://0.0.0.0"],
  ])("from %s may not lead to %s", (from, to) => {
    expect(mayReach(new URL(from), new URL(to))).toBe(false);
  });
});

describe("a name", () => {
  const RECORDS: Record<string, LookupAddress[]> = {
    "registry.example.com": [{ address: "93.184.216.34", family: 4 }],
    "inside.example.com": [{ address: "10.0.0.5", family: 4 }],
    "storage.example.net": [{ address: "93.184.216.35", family: 4 }],
    "rebound.example.net": [{ address: "127.0.0.1", family: 4 }],
    "private.example.net": [{ address: "10.0.0.1", family: 4 }],
    "both.example.net": [
      { address: "::1", family: 6 },
      { address: "93.184.216.36", family: 4 },
    ],
  };

  /** Looks the registry's own name up, as the first request does, and then another. */
  async function reached(registry: string, name: string): Promise<string> {
    const reach = new Reach(new URL(`https://${registry}`), (requested, _options, callback) =>
      callback(null, RECORDS[requested] ?? []),
    );
    const look = (each: string) =>
      new Promise<string>((resolve, reject) =>
        reach.lookup(each, {}, (error, address) => (error ? reject(error) : resolve(String(address)))),
      );
    await look(registry);
    return look(name);
  }

  test("that resolves to the Internet is reached", async () => {
    expect(await reached("registry.example.com", "storage.example.net")).toBe("93.184.216.35");
  });

  test.each(["rebound.example.net", "private.example.net"])(
    "that resolves to %s's kind of address isn't, on the word of a registry on the Internet",
    async (name) => {
      await expect(reached("registry.example.com", name)).rejects.toThrow(/which is not allowed/);
    },
  );

  test("is reached by those of its addresses that may be", async () => {
    expect(await reached("registry.example.com", "both.example.net")).toBe("93.184.216.36");
  });

  test("inside a network is reached for a registry that resolves into it, and this machine isn't", async () => {
    expect(await reached("inside.example.com", "private.example.net")).toBe("10.0.0.1");
    await expect(reached("inside.example.com", "rebound.example.net")).rejects.toThrow(/not allowed/);
  });
});
