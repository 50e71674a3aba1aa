/** The lines that npm start prints of requests and messages. */
import { expect, test } from "vitest";
import { messageLine, requestJson, requestLine } from "../../../scripts/local/log-lines.ts";
import type { RequestRecord } from "../../../src/request-log.ts";

const HOSTILE = "x\x1b[2Jy\u202ez";

test("a request's line contains no terminal control sequence, whatever upstream sent", () => {
  const record = { method: "GET", path: `/v2/${HOSTILE}`, upstream: HOSTILE, status: 503, servedBy: null };
  const line = requestLine({ ...record, bytes: null, ms: 3, reason: HOSTILE } as RequestRecord);
  expect(line).toMatch(/^\d\d:\d\d:\d\d GET \/v2\/x�\[2Jy�z 503 - - 3 ms x�\[2Jy�z: x�\[2Jy�z$/);
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
