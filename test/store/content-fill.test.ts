/** Fills of content: who else may read one while it runs, and when private content is linked to its repository. */
import { expect, it } from "vitest";
import { parseDigest } from "../../src/oci/digest.ts";
import { type ContentName, openContentFill } from "../../src/store/content.ts";
import { contentKey, linkKey, type Store, type Visibility } from "../../src/store/store.ts";

const digest = parseDigest(`sha256:${"ab".repeat(32)}`);
if (!digest) throw new Error("this is a digest");

const nameOf = (visibility: Visibility): ContentName => ({
  kind: "blobs",
  digest,
  scope: { upstream: "ghcr.io", repository: "owner/image", visibility },
});

/** A store that keeps nothing, and records what is begun and put. */
function recordingStore({ fails = false } = {}) {
  const begun: { key: string; isShared: boolean }[] = [];
  const put: string[] = [];
  const store = {
    openFill: async (key: string, { isShared }: { isShared: boolean }) => {
      begun.push({ key, isShared });
      const write = async () => {
        if (fails) throw new Error("it isn't what its digest says");
      };
      return { write, read: async () => new ReadableStream<Uint8Array>() };
    },
    put: async (key: string) => void put.push(key),
  } as unknown as Store;
  return { store, begun, put };
}

it("of public content can be read by every request, and needs no link", async () => {
  const { store, begun, put } = recordingStore();
  const fill = await openContentFill(store, nameOf("public"), 1);
  await fill?.write(new ReadableStream());
  expect(begun).toEqual([{ key: contentKey("blobs", digest, "public"), isShared: true }]);
  expect(put).toEqual([]);
});

it("of private content can be read by no other request, and is linked once it is stored", async () => {
  const { store, begun, put } = recordingStore();
  const fill = await openContentFill(store, nameOf("private"), 1);
  expect(begun).toEqual([{ key: contentKey("blobs", digest, "private"), isShared: false }]);
  expect(put).toEqual([]);
  await fill?.write(new ReadableStream());
  expect(put).toEqual([linkKey("ghcr.io", "owner/image", digest)]);
});

it("of private content that is another than its digest says links nothing to the repository", async () => {
  const { store, put } = recordingStore({ fails: true });
  const fill = await openContentFill(store, nameOf("private"), 1);
  await expect(fill?.write(new ReadableStream())).rejects.toThrow();
  expect(put).toEqual([]);
});
