/** The Worker's requests about uploads of hosted content. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { BeyondBound, isStoreKey } from "../../src/store/store.ts";
import { checksumOf } from "./file-store.ts";
import type { Uploads } from "./uploads.ts";

const PATH = /^\/(uploads|appends)\/([0-9a-f-]{36})(\/wait|\/end|\/publish)?$/;

/**
 * POST of `/uploads/<id>?offset=<bytes>&length=<bytes>&group=<name>&bound=<bytes>` begins an append and is answered 201 with a
 * `BegunAppend` as JSON; the length may be left out, and so may the bound with its group. POST of `/appends/<id>/wait` waits,
 * and is answered 200 with `endless` once the body should be cut off, or with nothing once it has ended. POST of `/appends/<id>/end`,
 * with `?broken` if its body was, is answered 200 with the bytes appended, 409 if another append has ended it, or 413 if it has gone beyond
 * its bound. POST of `/uploads/<id>/publish?size=<bytes>&key=<key>` with `X-Checksum` is answered 204, or 409 if the
 * content is other.
 * @throws an error with the code ENOSPC where the disk has no room.
 */
export async function handleUpload(
  uploads: Uploads,
  { method, url = "/", headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(url, "http://writer");
  const [, kind = "", id = "", action = ""] = PATH.exec(pathname) ?? [];
  const number = (name: string): number | null => {
    const text = searchParams.get(name);
    return text === null ? null : Number(text);
  };
  const checksum = headers["x-checksum"];
  const key = searchParams.get("key") ?? "";
  switch (method === "POST" && `${kind}${action}`) {
    case "uploads": {
      const bytes = number("bound");
      const bound = bytes === null ? null : { group: searchParams.get("group") ?? "", bytes };
      const append = await uploads.begin(id, number("offset") ?? 0, number("length"), bound);
      response.writeHead(201).end(JSON.stringify(append));
      return;
    }
    case "appends/wait": {
      const isEndless = await uploads.isEndless(id);
      response.writeHead(200).end(isEndless ? "endless" : "");
      return;
    }
    case "appends/end": {
      try {
        const bytes = await uploads.end(id, !searchParams.has("broken"));
        response.writeHead(bytes === null ? 409 : 200).end(String(bytes ?? ""));
      } catch (error) {
        if (!(error instanceof BeyondBound)) throw error;
        response.writeHead(413).end();
      }
      return;
    }
    case "uploads/publish": {
      if (checksum === undefined || !isStoreKey(key)) break;
      const isRight = await uploads.publish(id, number("size") ?? 0, key, checksumOf(checksum));
      response.writeHead(isRight ? 204 : 409).end();
      return;
    }
  }
  response.writeHead(400).end("no request about an upload");
}
