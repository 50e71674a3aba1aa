/** The lines that npm start prints of requests and messages. */
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { messageLine, requestJson, requestLine } from "../../../scripts/local/log-lines.ts";
import type { RequestRecord } from "../../../src/request-log.ts";

const HOSTILE = "x\x1b[2Jy\u202ez";

test("a request's line contains no terminal control sequence, whatever upstream sent", () => {
  const record = {
    method: "GET",
    path: `/v2/${HOSTILE}`,
    upstream: HOSTILE,
    status: 503,
    servedBy: null,
    key: HOSTILE,
  };
  const line = requestLine({ ...record, bytes: null, ms: 3, reason: HOSTILE } as RequestRecord);
  const safe = "x�[2Jy�z";
  expect(stripVTControlCharacters(line).slice("12:31:05 ".length)).toBe(
    `GET  503 -                -     3 ms  /v2/${safe} by ${safe} ${safe}: ${safe}`,
  );
  expect(line).not.toContain("\x1b[2J");
});

test("a manifest or blob is shown by its whole name and a short digest, with the name of the key", () => {
  const common = {
    method: "GET",
    upstream: "ghcr.io",
    repository: "owner/image",
    key: "laptop",
    reason: null,
  };
  const hex = "0123456789abcdef".repeat(4);
  const shown = (resource: string, path: string) =>
    requestLine({
      ...common,
      resource,
      path,
      status: 200,
      bytes: 1,
      ms: 1,
      servedBy: "store",
    } as RequestRecord);
  const byDigest = shown("blob", `/v2/ghcr.io/owner/image/blobs/sha256:${hex}?ns=ghcr.io`);
  expect(byDigest).toMatch(/ {2}ghcr\.io\/owner\/image@sha256:0123456789ab by laptop$/);
  expect(shown("manifest", "/v2/owner/image/manifests/v1?ns=ghcr.io")).toMatch(
    / {2}ghcr\.io\/owner\/image:v1 by laptop$/,
  );
  expect(shown("tags", "/v2/owner/image/tags/list")).toMatch(/ {2}\/v2\/owner\/image\/tags\/list by laptop$/);
});

test("a request as JSON is one line without control characters, and loses none of its text", () => {
  const record = { method: "GET", path: `/v2/${HOSTILE}`, reason: "two\nlines" } as RequestRecord;
  const line = requestJson(record);
  expect(line).not.toMatch(/\p{C}/u);
  expect(JSON.parse(line)).toEqual({ time: expect.any(String), ...record });
});

test("a message's line neither, and without its stack trace", () => {
  const message = {
    from: "worker",
    level: "error",
    text: `Error: ${HOSTILE}\n    at fetch (index.js:1:1)`,
  } as const;
  expect(messageLine(message)).toBe("Error: x�[2Jy�z");
  expect(messageLine({ from: "mirror", level: "warn", text: "full" })).toBe("Warning: full");
  expect(messageLine({ from: "mirror", level: "log", text: "evicted" })).toBe("evicted");
});
