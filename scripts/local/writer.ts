/** Does for the Worker what workerd's disk service can't: publish by renaming, delete, and list with sizes and times. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isEvictable, isStoreKey, uploadOf } from "../../src/store/store.ts";
import { type Checksum, checksumOf, type FileStore } from "./file-store.ts";
import type { Fills } from "./fills.ts";
import type { FreeSpace } from "./free-space.ts";
import { handleUpload } from "./upload-requests.ts";
import type { Uploads } from "./uploads.ts";

export interface WriterOptions {
  store: FileStore;
  records: FileStore;
  fills: Fills;
  uploads: Uploads;
  /** What cached content may take; what is pushed may take all that is free. */
  space: Pick<FreeSpace, "require">;
  /** Called for each object published in the store, with its size in bytes. */
  onStored(bytes: number): void;
  /** Called when there is no space left for a file, or less than is to stay free. */
  onFull(): void;
}

/** As `worker/disk-records.ts` spells keys. */
const RECORD = /^([a-z0-9=-][a-z0-9._=-]*\/)+_\/[a-z0-9=-][a-z0-9._=-]*$/;
/** The path of a fill, without the first component. */
const FILL = /^([0-9a-f-]{36})(\/end)?$/;
/** Error codes of a full disk or an exceeded quota. */
const FULL = ["ENOSPC", "EDQUOT"];

/** A request to it, once its path is read. */
interface Task {
  files: FileStore;
  key: string;
  checksum: Checksum | null;
}

/**
 * Handles requests for `/store/<key>` and `/records/<key>`: PUT, for the store with `X-Checksum: sha256:<hex>`, answered
 * 204, 409 if the body doesn't match, or 507 if the disk is full; and DELETE, 204. GET of `/store?prefix=` and
 * `/records?prefix=` is answered with a JSON list, of `/health` 204 if the store can be written to.
 *
 * POST of `/store/<key>?from=<key>` gives an object a second name, and is answered 204, or 404 if there is none.
 *
 * POST of `/fills/<key>?size=<bytes>` with `X-Checksum` begins a fill and is answered 201 with its id, or 507; GET of
 * `/fills/<id>?after=<bytes>` waits and is answered with its progress as JSON, 404 once it was removed; POST of `/fills/<id>/end`
 * is answered as the PUT of an object is; DELETE of `/fills/<id>` removes it, also in the middle.
 *
 * `upload-requests.ts` handles those for `/uploads/` and `/appends/`.
 */
export function writer(options: WriterOptions) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await handle(options, request, response);
    } catch (error) {
      const isFull = error instanceof Error && "code" in error && FULL.includes(String(error.code));
      if (isFull) options.onFull();
      const reason = isFull ? "the disk is full" : error instanceof Error ? error.message : String(error);
      response.writeHead(isFull ? 507 : 500).end(reason);
    }
  };
}

async function handle(
  options: WriterOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://writer");
  if (request.method === "GET" && pathname === "/health") {
    await options.store.check();
    response.writeHead(204).end();
    return;
  }
  if (request.method === "GET" && (pathname === "/store" || pathname === "/records")) {
    const files = pathname === "/store" ? options.store : options.records;
    const { entries } = await files.list(searchParams.get("prefix") ?? "");
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(entries));
    return;
  }
  if (pathname.startsWith("/fills/")) {
    await handleFill(options, request, response, pathname.slice("/fills/".length), searchParams);
    return;
  }
  if (pathname.startsWith("/uploads/") || pathname.startsWith("/appends/")) {
    await handleUpload(options.uploads, request, response);
    return;
  }
  if (request.method === "POST") {
    response.writeHead(await copy(options, pathname, searchParams.get("from") ?? "")).end();
    return;
  }
  const task = taskOf(options, pathname, request.headers["x-checksum"]);
  if (!task) response.writeHead(400).end("no key of the store or the records");
  else response.writeHead(await perform(options, task, request)).end();
}

/** @returns the status to answer with. */
async function copy({ store }: WriterOptions, pathname: string, from: string): Promise<number> {
  const key = pathname.replace(/^\/store\//, "");
  if (!isStoreKey(key) || !isStoreKey(from)) return 400;
  return (await store.link(from, key)) ? 204 : 404;
}

function taskOf(
  { store, records }: WriterOptions,
  pathname: string,
  header: string | string[] | undefined,
): Task | null {
  const [, root = "", key = ""] = /^\/([^/]+)\/(.*)$/.exec(pathname) ?? [];
  if (root === "records" && RECORD.test(key)) return { files: records, key, checksum: null };
  if (root !== "store" || !isStoreKey(key)) return null;
  if (header === undefined) return { files: store, key, checksum: null };
  return { files: store, key, checksum: checksumOf(header) };
}

async function handleFill(
  { fills, space, onStored }: WriterOptions,
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  path: string,
  query: URLSearchParams,
): Promise<void> {
  const [, id = "", end] = FILL.exec(path) ?? [];
  const checksum = headers["x-checksum"];
  const size = Number(query.get("size"));
  if (method === "POST" && isStoreKey(path) && checksum !== undefined && Number.isSafeInteger(size)) {
    if (isEvictable(path)) await space.require(size + fills.reserved);
    const begun = await fills.begin(path, size, checksumOf(checksum));
    response.writeHead(201).end(begun);
  } else if (method === "GET" && id !== "" && end === undefined) {
    const progress = await fills.progress(id, Number(query.get("after")));
    if (progress) response.writeHead(200).end(JSON.stringify(progress));
    else response.writeHead(404).end();
  } else if (method === "POST" && end !== undefined) {
    const ended = await fills.end(id);
    if (ended?.verdict === "stored" && isEvictable(ended.key)) onStored(ended.size);
    response.writeHead(ended ? (ended.verdict === "stored" ? 204 : 409) : 404).end();
  } else if (method === "DELETE" && id !== "") {
    await fills.remove(id);
    response.writeHead(204).end();
  } else {
    response.writeHead(400).end("no request about a fill");
  }
}

/** @returns the status to answer with. */
async function perform(
  options: WriterOptions,
  { files, key, checksum }: Task,
  request: IncomingMessage,
): Promise<number> {
  if (request.method !== "PUT") {
    await files.delete([key]);
    const upload = files === options.store ? uploadOf(key) : null;
    if (upload !== null) await options.uploads.forget(upload);
    return 204;
  }
  const isCached = files === options.store && isEvictable(key);
  if (isCached) await options.space.require(Number(request.headers["content-length"] ?? 0));
  const bytes = await files.put(key, request, checksum);
  if (bytes === null) return 409;
  if (isCached) options.onStored(bytes);
  return 204;
}
