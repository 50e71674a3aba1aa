/** A record of every request, as JSON, so that it can be searched in Workers Logs and be made readable elsewhere. */
import type { MiddlewareHandler } from "hono";
import { withoutKey } from "./access/url.ts";
import { waitUntilOf } from "./pull/wait-until.ts";

/** What is said of a request; `scripts/start.ts` prints it for a person. */
export interface RequestRecord {
  method: string;
  /** With its query, without an access key, and shortened where it is long. */
  path: string;
  /** The upstream that it is about; null where it is about none, or wasn't let that far. */
  upstream: string | null;
  status: number;
  /** The `detail` of Cache-Status; null where nothing of a registry was answered. */
  servedBy: string | null;
  /** Declared length of the body; null where it isn't known. */
  bytes: number | null;
  /** Until the answer's headers were ready. */
  ms: number;
  /** Why it failed, where that isn't the client's doing; else null. */
  reason: string | null;
}

/** The variable of a request's context that says which upstream it is about. */
export const LOGGED_UPSTREAM = "upstream";

/** Milliseconds for which records are gathered: writing each by itself takes a tenth of a warm answer's time. */
const GATHER = 50;
/** Records that are written without waiting any longer. */
const ENOUGH = 50;

/** Characters of a path or a reason; the platform drops a line that is too long, with all the records in it. */
const LONGEST = 512;

let gathered: RequestRecord[] = [];

export const logged: MiddlewareHandler = async (c, next) => {
  const started = Date.now();
  await next();
  const { url, method } = c.req.raw;
  const { status, headers } = c.res;
  const length = headers.get("Content-Length");
  gathered.push({
    method,
    path: shortened(withoutKey(url.slice(url.indexOf("/", "https://".length)))),
    upstream: c.get(LOGGED_UPSTREAM) ?? null,
    status,
    servedBy: /detail=([a-z]+)/.exec(headers.get("Cache-Status") ?? "")?.[1] ?? null,
    bytes: length === null ? null : Number(length),
    ms: Date.now() - started,
    reason: status >= 500 && c.error ? shortened(c.error.message) : null,
  });
  // Should the runtime end the request that was to write them, the next full batch still does.
  if (gathered.length >= ENOUGH) write();
  else if (gathered.length === 1) waitUntilOf(c.executionCtx)(pause(GATHER).then(write));
};

function shortened(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function write(): void {
  if (gathered.length === 0) return;
  console.log(JSON.stringify({ requests: gathered }));
  gathered = [];
}
