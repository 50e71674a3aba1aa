/** What the owner removes from hosted repositories: what goes, what stays, and the bytes that garbage collection frees for it. */
import { expect, test } from "vitest";
import type { HostedPart } from "../../src/ledger/hosted.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import { descriptor, encode } from "../push/support.ts";
import { DAY, useHosted } from "./hosted-scene.ts";

const { mirror, client, records, collect, pass } = useHosted({ HOSTED_IMMUTABLE: ["hosted/release/*"] });
const imagesOf = (repository: string, last: string | null = null, limit = 100) =>
  records().images(repository, last, limit);
const remove = (repository: string, part: HostedPart, isDryRun = false) =>
  records().remove(repository, part, isDryRun);
const hostedBytes = async () => (await records().count()).bytes;
const storedKeys = async () => (await mirror.stored()).filter((key) => key.startsWith("hosted/"));

/** Lets all of garbage collection's time pass. @returns the bytes that it has freed. */
async function collectAll(): Promise<number> {
  let freed = 0;
  for (let run = 0; run < 4; run++) {
    pass(DAY + 1000);
    freed += (await collect()).freed;
  }
  return freed;
}

async function pushIndex(repository: string, tag: string, children: { digest: string; bytes: Uint8Array }[]) {
  const index = {
    ...{ schemaVersion: 2, mediaType: OCI_INDEX },
    manifests: children.map((child) => descriptor(child, OCI_MANIFEST)),
  };
  expect((await client.putManifest(repository, tag, index, OCI_INDEX)).status).toBe(201);
  return digestOf(encode(index));
}

test("images are listed by tag, with all that each needs; what has no tag comes last", async () => {
  const one = await client.pushImage("hosted/team/app", "1");
  const two = await client.pushImage("hosted/team/app", "2");
  const index = await pushIndex("hosted/team/app", "all", [one, two]);
  await remove("team/app", { tag: "2" });
  const listed = await imagesOf("team/app");
  expect(listed.map(({ tag, digest }) => [tag, digest])).toEqual([
    ["1", one.digest],
    ["all", index],
  ]);
  expect(listed[1]?.bytes).toBe(await hostedBytes());
  await remove("team/app", { tag: "all" });
  const left = await imagesOf("team/app");
  expect(left.map(({ tag, digest }) => [tag, digest])).toEqual([
    ["1", one.digest],
    [null, index],
  ]);
  expect((await imagesOf("team/app", null, 1)).map(({ tag }) => tag)).toEqual(["1"]);
  expect((await imagesOf("team/app", "1", 1)).map(({ tag }) => tag)).toEqual([null]);
});

test.each<["tag" | "manifest" | "repository"]>([["tag"], ["manifest"], ["repository"]])(
  "a %s frees what only it has, as it says before and after",
  async (kind) => {
    const shared = await client.pushBlob("hosted/team/app", encode({ shared: "x".repeat(1000) }));
    await client.pushBlob("hosted/team/other", shared.bytes);
    const gone = await client.pushImage("hosted/team/app", "1");
    await client.pushImage("hosted/team/other", "1");
    const index = await pushIndex("hosted/team/app", "all", [gone]);
    // As a client does it: the manifest stays, and only the index has it.
    expect((await client.send("DELETE", "/v2/hosted/team/app/manifests/1")).status).toBe(202);
    const part: HostedPart = { tag: { tag: "all" }, manifest: { digest: index }, repository: "all" as const }[
      kind
    ];
    const before = (await collect(true)).waiting;
    const planned = await remove("team/app", part, true);
    expect((await imagesOf("team/app")).map(({ tag }) => tag)).toEqual(["all"]);
    const removed = await remove("team/app", part);
    expect(removed).toEqual(planned);
    if (typeof removed === "string") throw new Error(removed);
    expect(removed.freed).toBeGreaterThan(0);
    expect(await collectAll()).toBe(before + removed.freed);
    expect((await client.send("GET", "/v2/hosted/team/other/manifests/1")).status).toBe(200);
    expect((await imagesOf("team/app")).length).toBe(0);
    expect((await storedKeys()).length).toBeGreaterThan(0);
  },
);

test("a tag frees nothing while another names the same manifest", async () => {
  const { digest } = await client.pushImage("hosted/team/app", "1");
  const { bytes } = await client.send("GET", `/v2/hosted/team/app/manifests/${digest}`);
  await client.putManifest("hosted/team/app", "2", bytes);
  expect(await remove("team/app", { tag: "1" })).toEqual({ tags: 1, manifests: 0, freed: 0 });
  await collectAll();
  expect((await client.send("GET", "/v2/hosted/team/app/manifests/2")).status).toBe(200);
});

test("nothing is removed that is immutable or isn't there", async () => {
  const { digest } = await client.pushImage("hosted/release/app", "1");
  const parts: HostedPart[] = [{ tag: "1" }, { digest: digest as never }, "all"];
  for (const part of parts) {
    expect(await remove("release/app", part)).toBe("immutable");
    expect(await remove("team/none", part)).toBe("unknown");
  }
  expect((await client.send("GET", "/v2/hosted/release/app/manifests/1")).status).toBe(200);
});
