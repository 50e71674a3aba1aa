/** Uploads of blobs, in all forms of the distribution spec ("Pushing Blobs"). */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import type { HostedRecords } from "../../src/index.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { openBody, Pusher, streamed } from "./support.ts";

const mirror = useMirror({ LOOPBACK: true, HOSTED_QUOTA: { "hosted/small/*": "10 kB" } });
const HOST = { host: "127.0.0.1" };
const CONTENT = patternBytes(5000, 3);
const TEAM = "hosted/team/app";
let client: Pusher;
let digest: string;

beforeEach(async () => {
  client = new Pusher({ ...mirror, request: (path, init) => mirror.request(path, { ...HOST, ...init }) });
  digest = await digestOf(CONTENT);
});

async function expectStored(repository = TEAM, bytes: Uint8Array = CONTENT, name = digest): Promise<void> {
  const response = await client.send("GET", `/v2/${repository}/blobs/${name}`);
  expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([200, name]);
  expect(response.bytes).toEqual(bytes);
}

describe("a blob", () => {
  test("is pushed by one POST", async () => {
    const response = await client.send("POST", `/v2/${TEAM}/blobs/uploads/?digest=${digest}`, {
      body: CONTENT,
    });
    expect(response.status).toBe(201);
    expect(response.headers.get("Location")).toBe(`/v2/${TEAM}/blobs/${digest}`);
    await expectStored();
  });

  test("is pushed by POST and PUT, and stored once", async () => {
    const upload = await client.startUpload(TEAM);
    const response = await client.send("PUT", `${upload}?digest=${digest}`, { body: CONTENT });
    expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([201, digest]);
    await expectStored();
    const hex = digest.slice("sha256:".length);
    expect(await mirror.stored()).toEqual([`hosted/blobs/sha256/${hex.slice(0, 2)}/${hex}`]);
  });

  test("is pushed in chunks, and its parts are deleted", async () => {
    const upload = await client.startUpload(TEAM);
    for (const [start, end] of [
      [0, 1999],
      [2000, 3999],
    ] as const) {
      const headers = { "Content-Range": `${start}-${end}` };
      const body = CONTENT.slice(start, end + 1);
      const response = await client.send("PATCH", upload, { body, headers });
      expect([response.status, response.headers.get("Range")]).toEqual([202, `0-${end}`]);
    }
    const last = await client.send("PUT", `${upload}?digest=${digest}`, {
      body: CONTENT.slice(4000),
      headers: { "Content-Range": "4000-4999" },
    });
    expect(last.status).toBe(201);
    await expectStored();
    await expect.poll(() => mirror.stored()).toHaveLength(1);
  });

  test.each([
    { name: "short", sizes: [1000, 4000] },
    { name: "empty", sizes: [] },
    { name: "of one slice exactly", sizes: [1024 * 1024] },
    { name: "longer than the first part", sizes: [3_000_000, 2_500_000, 700] },
  ])("is pushed by a PATCH without a length: $name", async ({ sizes }) => {
    const chunks = sizes.map((size, index) => patternBytes(size, index + 1));
    const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
    const name = await digestOf(bytes);
    const upload = await client.startUpload(TEAM);
    const patched = await client.send("PATCH", upload, { body: streamed(...chunks) });
    expect([patched.status, patched.headers.get("Range")]).toEqual([
      202,
      `0-${Math.max(0, bytes.length - 1)}`,
    ]);
    expect((await client.send("PUT", `${upload}?digest=${name}`)).status).toBe(201);
    await expectStored(TEAM, bytes, name);
    await expect.poll(() => mirror.stored()).toHaveLength(1);
  });

  test("is verified by sha512 where its digest is one", async () => {
    const name = await digestOf(CONTENT, "sha512");
    expect(
      (await client.send("POST", `/v2/${TEAM}/blobs/uploads/?digest=${name}`, { body: CONTENT })).status,
    ).toBe(201);
    await expectStored(TEAM, CONTENT, name);
  });
});

describe("an upload", () => {
  test("says how far it is, and where it continues", async () => {
    const upload = await client.startUpload(TEAM);
    await client.send("PATCH", upload, { body: CONTENT.slice(0, 1500) });
    const status = await client.send("GET", upload);
    expect([status.status, status.headers.get("Range"), status.headers.get("Location")]).toEqual([
      204,
      "0-1499",
      upload,
    ]);
  });

  test("refuses a chunk that begins elsewhere, and goes on after it", async () => {
    const upload = await client.startUpload(TEAM);
    await client.send("PATCH", upload, { body: CONTENT.slice(0, 1000) });
    for (const range of ["0-999", "2000-2999"]) {
      const wrong = await client.send("PATCH", upload, {
        body: CONTENT.slice(0, 1000),
        headers: { "Content-Range": range },
      });
      expect([wrong.status, wrong.headers.get("Range")]).toEqual([416, "0-999"]);
    }
    await client.send("PATCH", upload, {
      body: CONTENT.slice(1000),
      headers: { "Content-Range": "1000-4999" },
    });
    expect((await client.send("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
    await expectStored();
  });

  test("keeps the parts that came before its body broke off", async () => {
    const upload = await client.startUpload(TEAM);
    const whole = patternBytes(6_000_000, 4);
    const { body, end } = openBody(whole.slice(0, 3_000_000), whole.slice(3_000_000, 5_500_000));
    end(new Error("gone"));
    await client.send("PATCH", upload, { body }).catch(() => {});
    const { headers } = await client.send("GET", upload);
    const offset = Number(headers.get("Range")?.slice(2)) + 1;
    expect(offset).toBe(4 * 1024 * 1024);
    const rest = { body: whole.slice(offset), headers: { "Content-Range": `${offset}-${whole.length - 1}` } };
    const name = await digestOf(whole);
    expect((await client.send("PUT", `${upload}?digest=${name}`, rest)).status).toBe(201);
    await expectStored(TEAM, whole, name);
  });

  test.each(["POST", "PUT", "PATCH and PUT"])(
    "with another digest than its content's is refused by %s, and nothing is stored",
    async (form) => {
      const wrong = await digestOf(patternBytes(10, 9));
      const path = `/v2/${TEAM}/blobs/uploads/`;
      const upload = form === "POST" ? path : await client.startUpload(TEAM);
      if (form === "PATCH and PUT") await client.send("PATCH", upload, { body: CONTENT });
      const body = form === "PATCH and PUT" ? null : CONTENT;
      const response = await client.send(form === "POST" ? "POST" : "PUT", `${upload}?digest=${wrong}`, {
        body,
      });
      expect([response.status, response.json().errors]).toEqual([
        400,
        [expect.objectContaining({ code: "DIGEST_INVALID" })],
      ]);
      await expect.poll(() => mirror.stored()).toEqual([]);
      expect((await client.send("GET", `/v2/${TEAM}/blobs/${wrong}`)).status).toBe(404);
    },
  );

  test("is cancelled with its parts", async () => {
    const upload = await client.startUpload(TEAM);
    await client.send("PATCH", upload, { body: CONTENT });
    expect((await client.send("DELETE", upload)).status).toBe(204);
    expect((await client.send("GET", upload)).status).toBe(404);
    await expect.poll(() => mirror.stored()).toEqual([]);
  });

  test("belongs to its repository", async () => {
    const upload = (await client.startUpload(TEAM)).replace("team", "other");
    for (const method of ["GET", "PATCH", "PUT", "DELETE"]) {
      const body = method === "PATCH" || method === "PUT" ? CONTENT : null;
      expect((await client.send(method, `${upload}?digest=${digest}`, { body })).status).toBe(404);
    }
  });

  test("is continued by the later of two requests", async () => {
    const upload = await client.startUpload(TEAM);
    const { body, end } = openBody(CONTENT.slice(0, 100));
    const earlier = client.send("PATCH", upload, { body });
    await expect.poll(() => client.send("GET", upload).then(({ status }) => status)).toBe(204);
    await client.send("PATCH", upload, { body: CONTENT });
    end();
    expect((await earlier).status).toBe(409);
    expect((await client.send("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
    await expectStored();
  });
});

describe("a mount", () => {
  const mount = (query: string) =>
    client.send("POST", `/v2/hosted/other/app/blobs/uploads/?mount=${digest}${query}`);

  test.each(["&from=hosted/team/app", "&from=team/app", "&from=hosted/team/app&origin=127.0.0.1", ""])(
    "%s gives a blob without its bytes",
    async (query) => {
      await client.pushBlob(TEAM, CONTENT);
      mirror.operations();
      expect((await mount(query)).status).toBe(201);
      expect(mirror.operations()).toMatchObject({ storePuts: 0, storeReads: 0 });
      await expectStored("hosted/other/app");
    },
  );

  test.each([
    "&from=hosted/nowhere",
    "&from=hosted/team/app&origin=example.com",
    "&from=hosted/team/app&origin=127.0.0.1:1",
    "&from=../x",
  ])("%s starts an upload", async (query) => {
    await client.pushBlob(TEAM, CONTENT);
    expect((await mount(query)).status).toBe(202);
  });
});

describe("a quota", () => {
  test("refuses what exceeds it, counts shared content once, and leaves other repositories alone", async () => {
    await client.pushBlob("hosted/small/a", patternBytes(6000, 1));
    await client.pushBlob("hosted/small/b", patternBytes(6000, 1));
    const more = patternBytes(6000, 2);
    const path = `/v2/hosted/small/b/blobs/uploads/?digest=${await digestOf(more)}`;
    const refused = await client.send("POST", path, { body: more });
    expect([refused.status, refused.json().errors]).toEqual([
      403,
      [expect.objectContaining({ code: "DENIED" })],
    ]);
    await client.pushBlob("hosted/large", more);
  });
});

describe("unfinished uploads count for the quota", () => {
  const SMALL = "hosted/small/app";
  const OTHER = "hosted/small/other";
  const patch = (upload: string, bytes: number, headers: Record<string, string> = {}) =>
    client.send("PATCH", upload, { body: patternBytes(bytes, bytes), headers });
  const isQuota = (response: { status: number; json(): Record<string, unknown> }) => {
    expect([response.status, JSON.stringify(response.json())]).toEqual([
      403,
      expect.stringContaining("the quota of 10000 bytes for small/* is used up"),
    ]);
  };

  test("of all repositories of its pattern together, before anything is stored", async () => {
    const [first, second] = [await client.startUpload(SMALL), await client.startUpload(OTHER)];
    expect((await patch(first, 6000)).status).toBe(202);
    isQuota(await patch(second, 4001));
    const before = (await mirror.stored()).length;
    isQuota(await client.send("PUT", `${second}?digest=${digest}`, { body: CONTENT }));
    isQuota(await client.send("POST", `/v2/${SMALL}/blobs/uploads/?digest=${digest}`, { body: CONTENT }));
    expect((await mirror.stored()).length).toBe(before);
    expect((await patch(second, 4000)).status).toBe(202);
    isQuota(await client.send("POST", `/v2/${OTHER}/blobs/uploads/`));
    expect((await client.send("POST", `/v2/${TEAM}/blobs/uploads/`)).status).toBe(202);
    expect((await client.send("DELETE", first)).status).toBe(204);
    expect((await client.send("POST", `/v2/${OTHER}/blobs/uploads/`)).status).toBe(202);
  });

  test("and one that turns out to exceed it ends, and leaves nothing", async () => {
    const upload = await client.startUpload(SMALL);
    expect((await patch(upload, 6000)).status).toBe(202);
    isQuota(await client.send("PATCH", upload, { body: streamed(patternBytes(6000, 1)) }));
    expect((await client.send("GET", upload)).status).toBe(404);
    await expect.poll(() => mirror.stored()).toEqual([]);
  });

  test("and the rest of a body without a length is read, so that its client sees why it was refused", async () => {
    const upload = await client.startUpload(SMALL);
    const { readable, writable } = new IdentityTransformStream();
    const writer = writable.getWriter();
    const sent = (async () => {
      for (let count = 0; count < 12; count++) await writer.write(patternBytes(1_000_000, count));
      await writer.close();
      return "all";
    })();
    isQuota(await client.send("PATCH", upload, { body: readable }));
    expect(await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, 1000))])).toBe("all");
  });

  test("and one that fills it exactly is finished", async () => {
    const upload = await client.startUpload(SMALL);
    const content = patternBytes(10_000, 9);
    expect((await client.send("PATCH", upload, { body: content })).status).toBe(202);
    const name = await digestOf(content);
    expect((await client.send("PUT", `${upload}?digest=${name}`)).status).toBe(201);
    await expectStored(SMALL, content, name);
  });
});

test("a repository has a thousand unfinished uploads at most, and others aren't affected", async () => {
  const policy = { isImmutable: false, allowsSparse: false, quota: null };
  const { HOSTED } = mirror.bindings as unknown as { HOSTED: DurableObjectNamespace<HostedRecords> };
  await runInDurableObject(HOSTED.getByName("hosted"), async (records: HostedRecords) => {
    for (let count = 0; count < 1000; count++) await records.startUpload("team/app", policy);
  });
  const response = await client.send("POST", `/v2/${TEAM}/blobs/uploads/`);
  expect([response.status, JSON.stringify(response.json())]).toEqual([
    429,
    expect.stringContaining("too many unfinished uploads"),
  ]);
  expect((await client.send("POST", "/v2/hosted/team/other/blobs/uploads/")).status).toBe(202);
});
