import { describe, expect, test } from "vitest";
import { errorResponse, RegistryError } from "../../src/oci/errors.ts";

const error = new RegistryError(429, "TOOMANYREQUESTS", 'wait, "please"', { "Retry-After": "7" });

describe("an error as a response", () => {
  test("is the spec's JSON with its code and message", async () => {
    const response = errorResponse(error, "GET");
    expect(response.status).toBe(429);
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(await response.json()).toEqual({
      errors: [{ code: "TOOMANYREQUESTS", message: 'wait, "please"', detail: null }],
    });
  });

  test("is never to be stored on the way", () => {
    expect(errorResponse(error, "GET").headers.get("Cache-Control")).toBe("no-store");
  });

  test("carries the headers that the error came with", () => {
    expect(errorResponse(error, "GET").headers.get("Retry-After")).toBe("7");
  });

  test("has the same status and headers and no body for HEAD", async () => {
    const [get, head] = [errorResponse(error, "GET"), errorResponse(error, "HEAD")];
    expect(head.status).toBe(get.status);
    expect([...head.headers]).toEqual([...get.headers]);
    expect(head.body).toBeNull();
  });
});

test("an error is recognized by its class, and its message is an Error's own", () => {
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: "RegistryError", status: 429, code: "TOOMANYREQUESTS" });
  expect(new RegistryError(404, "NAME_UNKNOWN", "none").headers).toEqual({});
});
