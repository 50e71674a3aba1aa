import { describe, expect, test } from "vitest";
import { failureOf, failureOfResponse, UpstreamError } from "../../src/registry/failure.ts";

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0);

function failure(status: number, headers: Record<string, string> = {}) {
  return failureOfResponse(new Response(null, { status, headers }), "owner/image", NOW).failure;
}

describe("a response's status says what kind of failure it is", () => {
  test.each([
    [404, "missing"],
    [401, "denied"],
    [403, "denied"],
    [429, "limited"],
    [400, "unavailable"],
    [405, "unavailable"],
    [410, "unavailable"],
    [451, "unavailable"],
    [500, "unavailable"],
    [502, "unavailable"],
    [503, "unavailable"],
    [504, "unavailable"],
    [301, "unavailable"],
    [204, "unavailable"],
  ])("%i: %s", (status, kind) => expect(failure(status)).toMatchObject({ kind, status }));

  test("its message names what was requested", () => {
    for (const status of [401, 404, 429, 500]) expect(failure(status).message).toContain("owner/image");
  });
});

describe("Retry-After", () => {
  test.each([
    ["seconds", "17", 17],
    ["none to wait", "0", 0],
    ["a date", "Thu, 01 Jan 2026 12:01:30 GMT", 90],
    ["a date as RFC 850 had it", "Thursday, 01-Jan-26 12:01:30 GMT", 90],
    ["a date that is past", "Thu, 01 Jan 2026 11:00:00 GMT", 0],
    ["words", "soon", null],
    ["a number and words", "120 seconds", null],
    ["nothing", "", null],
    ["less than nothing", "-5", null],
    ["a fraction", "1.5", null],
    ["more than can be counted", "9".repeat(40), null],
    ["hexadecimal", "0x10", null],
  ])("%s", (_, text, seconds) => {
    expect(failure(429, { "Retry-After": text }).retryAfter).toBe(seconds);
    expect(failure(503, { "Retry-After": text }).retryAfter).toBe(seconds);
  });

  test("is nothing where it is absent", () => expect(failure(429).retryAfter).toBeNull());

  test("of part of a second is rounded up, so that no client comes too early", () => {
    const response = new Response(null, {
      status: 429,
      headers: { "Retry-After": "Thu, 01 Jan 2026 12:00:02 GMT" },
    });
    expect(failureOfResponse(response, "x", NOW + 500).failure.retryAfter).toBe(2);
  });
});

describe("what was thrown", () => {
  test("is the failure that an UpstreamError carries, in a form that crosses to another isolate", () => {
    const error = new UpstreamError("limited", "slow down", 429, 7);
    expect(failureOf(error)).toEqual({ kind: "limited", message: "slow down", status: 429, retryAfter: 7 });
    expect(structuredClone(failureOf(error))).toEqual(failureOf(error));
    expect(failureOf(new UpstreamError("unavailable", "gone"))).toMatchObject({
      status: 0,
      retryAfter: null,
    });
  });

  test("is thrown on if it is anything else: a defect isn't upstream's failure", () => {
    const defect = new TypeError("undefined is not a function");
    expect(() => failureOf(defect)).toThrow(defect);
  });
});
