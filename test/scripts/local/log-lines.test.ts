/** The lines that npm start prints of requests and messages. */
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { filledLine, messageLine, recordJson, requestLine } from "../../../scripts/local/log-lines.ts";
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

test("a stored blob's line is aligned with those of requests, and has the speed of its fill", () => {
  const hex = "0123456789abcdef".repeat(4);
  const name = { upstream: "ghcr.io", repository: "owner/image", digest: `sha256:${hex}` } as const;
  const line = filledLine({ event: "stored", ...name, bytes: 3_400_000, ms: 800 });
  const request = requestLine({
    ...{ ...name, method: "GET", path: `/v2/owner/image/blobs/${name.digest}`, resource: "blob", key: null },
    ...{ status: 200, reference: "digest", servedBy: "upstream", bytes: 3_400_000, ms: 412, reason: null },
  } as RequestRecord);
  const shown = "ghcr.io/owner/image@sha256:0123456789ab";
  expect(line.slice("12:31:05".length)).toBe(`          stored      3.4 MB   800 ms  ${shown} at 4.3 MB/s`);
  expect(line.indexOf(shown)).toBe(stripVTControlCharacters(request).indexOf(shown));
});

test("a stored blob's line has a speed where it took no measurable time, and no control sequence", () => {
  const name = { upstream: HOSTILE, repository: HOSTILE, digest: `sha256:${"0".repeat(64)}` } as const;
  const line = filledLine({ event: "stored", ...name, bytes: 1500, ms: 0 });
  expect(line).toMatch(/ at 1\.5 MB\/s$/);
  expect(line).not.toMatch(/\p{C}/u);
});

test("a request as JSON is one line without control characters, and loses none of its text", () => {
  const record = { method: "GET", path: `/v2/${HOSTILE}`, reason: "two\nlines" } as RequestRecord;
  const line = recordJson(record);
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
