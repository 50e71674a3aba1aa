/** What requests about uploads cost, with many uploads of many parts under way: one object serves all hosted repositories. */
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { HostedTables } from "../../src/objects/hosted-tables.ts";
import { UploadTables } from "../../src/objects/upload-tables.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { useHosted } from "./hosted-scene.ts";

const { records } = useHosted();

test("neither a part nor an upload more, nor what a quota counts, reads the rows of all others", async () => {
  await runInDurableObject(records(), (_, { storage }) => {
    const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
    const counting = {
      exec: (query: string, ...values: unknown[]) => {
        const cursor = storage.sql.exec(query, ...values);
        cursors.push(cursor);
        return cursor;
      },
    } as unknown as SqlStorage;
    const tables = new UploadTables(counting);
    const rowsReadBy = (work: () => void): number => {
      cursors.length = 0;
      work();
      return cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
    };
    tables.start("upload", "team/app", 0);
    for (let part = 0; part < 500; part++) tables.addPart("upload", { key: `key ${part}`, size: 2 }, 0);
    expect(rowsReadBy(() => tables.addPart("upload", { key: "key 500", size: 2 }, 0))).toBeLessThan(10);
    expect(tables.parts("upload").map(({ key }) => key)).toEqual(
      Array.from({ length: 501 }, (_, part) => `key ${part}`),
    );
    for (let other = 0; other < 500; other++) tables.start(`other ${other}`, `team/other-${other}`, 0);
    expect(rowsReadBy(() => expect(tables.count("team/app")).toBe(1))).toBeLessThan(10);
    expect(rowsReadBy(() => expect(tables.bytes("team/a*")).toBe(1002))).toBeLessThan(10);
    expect(tables.bytes("*")).toBe(1002);
    const hosted = new HostedTables(counting);
    for (let other = 0; other < 500; other++) {
      const digest: Digest = `sha256:${String(other).padStart(64, "0")}`;
      const repository = other < 2 ? "team/app" : `team/other-${other}`;
      hosted.reserve("blobs", digest, 0);
      hosted.setSize({ kind: "blobs", digest, size: 3 });
      hosted.link(repository, digest, 0);
    }
    expect(rowsReadBy(() => expect(hosted.bytesOf("team/app", null)).toBe(6))).toBeLessThan(20);
    expect(hosted.bytesOf("team/*", null)).toBe(1500);
    expect(hosted.bytesOf("*/app", null)).toBe(6);
  });
});
