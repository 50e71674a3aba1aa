/** What a deploy decides: nothing is open to the world, or closed to its own users, without an explicit setting. */
import { describe, expect, test } from "vitest";
import { type Plan, planDeploy, type Situation } from "../../../scripts/deploy/plan.ts";
import { ConfigError } from "../../../src/config.ts";

const alice = { name: "alice", hash: "a".repeat(64) };
const SECRET = "made for this deploy, and long enough for it";
const FIRST: Situation = { isOpen: false, vars: {}, keys: [alice], deployed: null };
const BOTH = new Set(["ACCESS_KEYS", "SIGNING_SECRET", "ADMIN_KEY"]);

function plan(situation: Partial<Situation>): Plan {
  return planDeploy({ ...FIRST, ...situation }, () => SECRET);
}

describe("without --open", () => {
  test("the mirror requests keys, whatever wrangler.toml says, and its secrets come with it", () => {
    for (const vars of [{}, { ACCESS: "open" }, { ACCESS: "keys" }]) {
      const { access, secrets, summary } = plan({ vars });
      expect(access).toBe("keys");
      expect(secrets).toEqual({
        ACCESS_KEYS: JSON.stringify([alice]),
        SIGNING_SECRET: SECRET,
        ADMIN_KEY: SECRET,
      });
      expect(summary).toContain("alice");
    }
  });

  test.each([
    ["no list, nothing deployed", { keys: null }],
    ["an empty list, nothing deployed", { keys: [] }],
    ["no list, a mirror deployed without keys", { keys: null, deployed: new Set(["UPSTREAM_CREDENTIALS"]) }],
    ["an empty list, a mirror deployed without keys", { keys: [], deployed: new Set<string>() }],
  ])("it is refused with both ways out: %s", (_, situation) => {
    expect(() => plan(situation)).toThrow(/key add NAME[\s\S]*--open/);
  });

  test("ACCESS=open in wrangler.toml isn't taken for --open, and a message says so", () => {
    expect(() => plan({ keys: null, vars: { ACCESS: "open" } })).toThrow(/ACCESS=open .*doesn't say it/);
  });

  test("the signing secret that is deployed stays: logins outlive a deploy", () => {
    expect(plan({ deployed: BOTH }).secrets).toEqual({ ACCESS_KEYS: JSON.stringify([alice]) });
  });

  test.each<[string, Partial<Situation>]>([
    ["given", { adminKey: "given by its owner, and long enough too" }],
    ["deployed", { deployed: new Set(["ADMIN_KEY"]) }],
  ])("without keys it is deployed closed for an owner whose admin key is %s", (_, situation) => {
    const closed = plan({ keys: null, ...situation });
    expect(closed).toMatchObject({ access: "keys", summary: expect.stringContaining("closed") });
    expect(closed.secrets).not.toHaveProperty("ACCESS_KEYS");
  });

  test("an admin key that is given is uploaded in place of one that is made", () => {
    const adminKey = "given by its owner, and long enough too";
    expect(plan({ adminKey }).secrets.ADMIN_KEY).toBe(adminKey);
    expect(plan({ adminKey, deployed: BOTH }).secrets.ADMIN_KEY).toBeUndefined();
  });

  test("a deploy from where there is no list leaves the keys as they are", () => {
    const { secrets, summary } = plan({ keys: null, deployed: BOTH });
    expect(secrets).toEqual({});
    expect(summary).toContain("deployed already");
  });

  test("a list whose last key was revoked ends that key where it is deployed", () => {
    const { secrets, summary } = plan({ keys: [], deployed: BOTH });
    expect(secrets).toEqual({ ACCESS_KEYS: "[]" });
    expect(summary).toContain("closed");
  });
});

test("--open makes it open, needs no keys, and uploads none", () => {
  for (const keys of [null, [alice]]) {
    expect(plan({ isOpen: true, keys, vars: { ACCESS: "keys" } })).toMatchObject({
      access: "open",
      secrets: {},
      summary: expect.stringContaining("everyone"),
    });
  }
});

describe("in a build service", () => {
  test("it is closed, whatever wrangler.toml says, and needs neither a list of keys nor a secret", () => {
    for (const vars of [{}, { ACCESS: "open" }]) {
      const built = plan({ isBuild: true, keys: null, vars });
      expect(built).toMatchObject({
        access: "keys",
        secrets: {},
        summary: expect.stringContaining("closed"),
      });
    }
  });

  test("--open is refused", () => {
    expect(() => plan({ isBuild: true, isOpen: true })).toThrow("npm run deploy -- --open");
  });
});

describe("what would not start once deployed is refused before", () => {
  test("PRIVATE on an open mirror", () => {
    const vars = { PRIVATE: ["ghcr.io/owner/*"] };
    expect(() => plan({ isOpen: true, vars })).toThrow(ConfigError);
    expect(plan({ vars }).access).toBe("keys");
  });

  test("any other wrong variable", () => {
    expect(() => plan({ vars: { TAG_TTL: "soon" } })).toThrow(/TAG_TTL/);
  });

  test.each(["ACCESS_KEYS", "SIGNING_SECRET", "ADMIN_KEY"])(
    "%s as a variable, beside the secret of that name",
    (name) => {
      expect(() => plan({ vars: { [name]: "x".repeat(40) } })).toThrow(
        new RegExp(`${name} .*wrangler\\.toml`),
      );
    },
  );
});
