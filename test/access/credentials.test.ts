import { describe, expect, test } from "vitest";
import { readAuthorization } from "../../src/access/credentials.ts";

describe("an Authorization", () => {
  test("of Basic has a user name, and as password all that follows the first colon", () => {
    const read = readAuthorization(`Basic ${btoa("user:pass:word")}`);
    expect(read).toEqual({ scheme: "basic", username: "user", password: "pass:word" });
    expect(readAuthorization("basic dTo=")).toEqual({ scheme: "basic", username: "u", password: "" });
  });

  test("of Basic is read as UTF-8", () => {
    const bytes = new TextEncoder().encode("ü:ö");
    const read = readAuthorization(`Basic ${btoa(String.fromCharCode(...bytes))}`);
    expect(read).toEqual({ scheme: "basic", username: "ü", password: "ö" });
  });

  test("of Bearer has a token", () => {
    expect(readAuthorization("bearer a.b-c")).toEqual({ scheme: "bearer", token: "a.b-c" });
  });

  test.each([
    null,
    "",
    "Basic",
    "Basic Og==",
    "Basic !",
    "Basic dXNlcg==",
    "Bearer",
    "Bearer a b",
    "Digest x=1",
    "Negotiate YQ==",
  ])("that says nothing is none: %j", (header) => expect(readAuthorization(header)).toBeNull());
});
