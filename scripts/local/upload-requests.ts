/** The Worker's requests about uploads of hosted content. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isStoreKey } from "../../src/store/store.ts";
import { checksumOf } from "./file-store.ts";
import type { Uploads } from "./uploads.ts";

const PATH = /^\/(uploads|appends)\/([0-9a-f-]{36})(\/end|\/publish)?$/;

/**
 * POST of `/uploads/<id>?offset=<bytes>&length=<bytes>` begins an append and is answered 201 with a `BegunAppend` as JSON; the
 * length may be left out. POST of `/appends/<id>/end`, with `?broken` if its body was, is answered 200 with the bytes appended, or 409 if another
 * append has ended it. POST of `/uploads/<id>/publish?size=<bytes>&key=<key>` with `X-Checksum` is answered 204, or 409 if the
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
      const append = await uploads.begin(id, number("offset") ?? 0, number("length"));
      response.writeHead(201).end(JSON.stringify(append));
      return;
    }
    case "appends/end": {
      const bytes = await uploads.end(id, !searchParams.has("broken"));
      response.writeHead(bytes === null ? 409 : 200).end(String(bytes ?? ""));
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
