/** A record of every request, as JSON, so that it can be searched in Workers Logs and be made readable elsewhere. */
import type { Context, MiddlewareHandler } from "hono";
import { withoutKey } from "./access/url.ts";
import type { CacheStatus } from "./oci/cachestatus.ts";
import { waitUntilOf } from "./pull/wait-until.ts";
import type { WaitUntil } from "./registry/wait-until.ts";

/** What the handler learns about a request on its way; what it didn't get to know is null. */
export interface RequestDetails {
  /** Name of the upstream; null where the request is about none, or wasn't admitted. */
  upstream: string | null;
  /** As the upstream knows it. */
  repository: string | null;
  resource: "manifest" | "blob" | "tags" | "referrers" | "upload" | "catalog" | null;
  /** How the manifest or blob is named. */
  reference: "tag" | "digest" | null;
  /** Name of the access key that admitted the request. */
  key: string | null;
  /** Where the response came from; null where it isn't a registry's content. */
  servedBy: CacheStatus["servedBy"] | null;
}

export interface RequestRecord extends RequestDetails {
  method: string;
  /** With its query, without an access key, and shortened where it is long. */
  path: string;
  status: number;
  /** Declared length of the body; null where it isn't known. */
  bytes: number | null;
  /** Until the response's headers were ready. */
  ms: number;
  /** Why the mirror failed; null where it didn't, or the request is at fault. */
  reason: string | null;
}

/** The variable of a request's context that holds its RequestDetails. */
const DETAILS = "details";

/** Milliseconds for which records are gathered: writing each by itself takes a tenth of a warm response's time. */
export const GATHER = 50;
/** Records that are written without waiting any longer. */
const ENOUGH = 50;

/** Characters of a path or a reason; the platform drops a line that is too long, with all the records in it. */
const LONGEST = 512;

let gathered: RequestRecord[] = [];

/**
 * @param gather milliseconds for which records are gathered.
 * @param note what else is done with each record.
 */
export function requestLog(
  gather: number,
  note: (record: RequestRecord & { digest: string | null }, waitUntil: WaitUntil) => void,
): MiddlewareHandler {
  return async (c, next) => {
    const started = Date.now();
    try {
      await next();
    } finally {
      const record = recordOf(c, Date.now() - started);
      note({ ...record, digest: digestOf(c) }, waitUntilOf(c.executionCtx));
      gathered.push(record);
      // Should the runtime end the request that was to write them, the next full batch still does.
      if (gathered.length >= ENOUGH) write();
      else if (gathered.length === 1) waitUntilOf(c.executionCtx)(pause(gather).then(write));
    }
  };
}

/** The details of a request, to be filled in by its handler. */
export function detailsOf(c: Context): RequestDetails {
  const known: RequestDetails | undefined = c.get(DETAILS);
  if (known) return known;
  const details: RequestDetails = {
    upstream: null,
    repository: null,
    resource: null,
    reference: null,
    key: null,
    servedBy: null,
  };
  c.set(DETAILS, details);
  return details;
}

/** @param ms milliseconds since the request came. */
function recordOf(c: Context, ms: number): RequestRecord {
  const { url, method } = c.req.raw;
  // Without a response the handler has thrown what isn't an Error, and the runtime answers in its stead.
  const { status, headers } = c.finalized ? c.res : new Response(null, { status: 500 });
  const length = headers.get("Content-Length");
  const details = detailsOf(c);
  return {
    method,
    path: shortened(withoutKey(url.slice(url.indexOf("/", "https://".length)))),
    ...details,
    repository: details.repository && withoutKey(details.repository),
    servedBy: c.error ? null : details.servedBy,
    status,
    bytes: length === null ? null : Number(length),
    ms,
    reason: status >= 500 && c.error ? shortened(withoutKey(c.error.message)) : null,
  };
}

/** Of the content that was served; null where none was. */
function digestOf(c: Context): string | null {
  return c.finalized && !c.error ? c.res.headers.get("Docker-Content-Digest") : null;
}

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
