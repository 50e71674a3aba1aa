import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  RegistryClient,
  type RemoteRepository,
  remoteOf,
  writable,
} from "../../../scripts/registry/client.ts";
import type { Blob } from "../../../scripts/registry/download.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import { Uploader } from "../../../scripts/registry/upload.ts";
import { type PushRegistry, startPushRegistry } from "../support/push-registry.ts";
import { shortWait } from "../support/wait.ts";

const MIB = 1024 * 1024;

let registry: PushRegistry;
let network: Network;
let remote: RemoteRepository;
let uploader: Uploader;

beforeEach(async () => {
  registry = await startPushRegistry();
  network = openNetwork({ insecure: false }, {});
  const client = new RegistryClient({
    network,
    logins: { loginFor: async () => null },
    insecure: false,
    wait: shortWait,
  });
  uploader = new Uploader(client);
  remote = writable(remoteOf({ registry: registry.host, repository: "owner/image" }));
});

afterEach(async () => {
  await network.close();
  await registry.close();
});

interface Content {
  bytes: Buffer;
  blob: Blob;
  /** How often it was read from its beginning. */
  opened: number;
  open: () => AsyncIterable<Uint8Array>;
}

function content(size: number): Content {
  const bytes = randomBytes(size);
  const made: Content = {
    bytes,
    blob: { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, size },
    opened: 0,
    open: async function* () {
      made.opened += 1;
      for (let at = 0; at < size; at += 65_536) yield bytes.subarray(at, at + 65_536);
    },
  };
  return made;
}

function put({ blob, open }: Content, mountFrom: string | null = null) {
  return uploader.put(remote, { blob, open, mountFrom });
}

function stored({ blob }: Content): Buffer | undefined {
  return registry.blobs.get(blob.digest)?.bytes;
}

function methods(): string[] {
  return registry.requests.map(({ method }) => method);
}

function chunks(): PushRegistry["requests"] {
  return registry.requests.filter(({ method }) => method === "PATCH");
}

/** Lets the nth request of a method come to grief. */
function fault(method: string, nth: number, what: ReturnType<PushRegistry["interfere"]>): void {
  let seen = 0;
  registry.interfere = (request) => {
    if (request.method !== method) return null;
    seen += 1;
    return seen === nth ? what : null;
  };
}

describe("a blob", () => {
  test.each([0, 1, 1000])("of %d bytes goes in one request after the upload is opened", async (size) => {
    const made = content(size);
    expect(await put(made)).toBe("sent");
    expect(stored(made)).toEqual(made.bytes);
    expect(methods()).toEqual(["POST", "PUT"]);
  });

  test.each(["absolute", "relative"] as const)(
    "that is large goes in one request too, wherever a %s Location leads",
    async (location) => {
      registry.settings.location = location;
      const made = content(20 * MIB);
      await put(made);
      expect(stored(made)?.equals(made.bytes)).toBe(true);
      expect(methods()).toEqual(["POST", "PUT"]);
      expect(registry.requests[1]?.headers["content-length"]).toBe(`${20 * MIB}`);
    },
  );

  test("goes in chunks where a proxy takes no such body, and so do all after it", async () => {
    registry.settings.bodyLimit = 8 * MIB;
    const [one, other] = [content(20 * MIB), content(9 * MIB)];
    await put(one);
    await put(other);
    expect([stored(one)?.equals(one.bytes), stored(other)?.equals(other.bytes)]).toEqual([true, true]);
    expect(chunks().map(({ headers }) => [headers["content-range"], headers["content-length"]])).toEqual([
      [`0-${8 * MIB - 1}`, `${8 * MIB}`],
      [`${8 * MIB}-${16 * MIB - 1}`, `${8 * MIB}`],
      [`${16 * MIB}-${20 * MIB - 1}`, `${4 * MIB}`],
      [`0-${8 * MIB - 1}`, `${8 * MIB}`],
      [`${8 * MIB}-${9 * MIB - 1}`, `${MIB}`],
    ]);
    expect(registry.requests.filter(({ status }) => status === 413)).toHaveLength(1);
  });

  test("goes in chunks as small as a proxy wants them", async () => {
    registry.settings.bodyLimit = 1.5 * MIB;
    const made = content(5 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(chunks().at(-1)?.bytes).toBe(MIB);
  });

  test("that no request may carry is refused with advice", async () => {
    registry.settings.bodyLimit = 1000;
    await expect(put(content(2 * MIB))).rejects.toThrow(/answered 413 .*client_max_body_size/);
    expect(registry.uploads.size).toBe(0);
  });

  test("goes in chunks no larger than the registry says", async () => {
    Object.assign(registry.settings, { chunkLimit: 4 * MIB, saysChunkLimit: true });
    const made = content(9 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(chunks().map(({ bytes, status }) => [bytes, status])).toEqual([
      [4 * MIB, 202],
      [4 * MIB, 202],
      [MIB, 202],
    ]);
  });

  test("goes in smaller chunks where larger ones are served 416, and is read once for them", async () => {
    Object.assign(registry.settings, { chunkLimit: 4 * MIB, bodyLimit: 8 * MIB });
    const made = content(12 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(chunks().map(({ bytes, status }) => [bytes, status])).toEqual([
      [8 * MIB, 416],
      [4 * MIB, 202],
      [4 * MIB, 202],
      [4 * MIB, 202],
    ]);
    // Once for the request that was answered 413.
    expect(made.opened).toBeLessThanOrEqual(2);
  });

  test("goes in chunks no smaller than the registry wants them", async () => {
    Object.assign(registry.settings, { chunkLeast: 12 * MIB, bodyLimit: 16 * MIB });
    const made = content(20 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(chunks().map(({ bytes }) => bytes)).toEqual([12 * MIB, 8 * MIB]);
  });

  test.each([
    ["takes less than a chunk at a time", { chunkMost: 5 * MIB }],
    ["counts one byte too many", { countsWrong: true }],
  ])("goes in chunks to a registry that %s", async (_, settings) => {
    Object.assign(registry.settings, settings, { bodyLimit: 8 * MIB });
    const made = content(20 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(chunks().length).toBeGreaterThan(2);
  });

  test("that broke off goes in one request to a registry that refuses chunks, and so do all after it", async () => {
    registry.settings.chunks = "refused";
    fault("PUT", 1, { cutAfter: MIB });
    const [one, other] = [content(10 * MIB), content(9 * MIB)];
    await put(one);
    await put(other);
    expect([stored(one)?.equals(one.bytes), stored(other)?.equals(other.bytes)]).toEqual([true, true]);
    expect(chunks()).toHaveLength(1);
    const whole = registry.requests.filter(({ method, status }) => method === "PUT" && status === 201);
    expect(whole.map(({ headers }) => headers["content-length"])).toEqual([`${10 * MIB}`, `${9 * MIB}`]);
    expect(registry.uploads.size).toBe(0);
  });

  test.each([["POST"], ["PATCH"], ["PUT"]])("goes where a %s is redirected, whole", async (method) => {
    Object.assign(registry.settings, { redirected: [method], chunkLimit: 8 * MIB });
    registry.settings.saysChunkLimit = method === "PATCH";
    const made = content(9 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(registry.requests.some((each) => each.method === method && each.status === 307)).toBe(true);
  });

  test("is mounted from a repository that has it, without being read", async () => {
    const made = content(1000);
    registry.blobs.set(made.blob.digest, { bytes: made.bytes, repositories: new Set(["other/image"]) });
    expect(await put(made, "other/image")).toBe("mounted");
    expect(registry.blobs.get(made.blob.digest)?.repositories.has("owner/image")).toBe(true);
    expect([methods(), made.opened]).toEqual([["POST"], 0]);
  });

  test.each(["uploaded", "refused"] as const)("is sent where a mount is %s", async (mount) => {
    registry.settings.mount = mount;
    const made = content(1000);
    expect(await put(made, "other/image")).toBe("sent");
    expect(stored(made)).toEqual(made.bytes);
  });
});

describe("an upload that fails", () => {
  const inChunks = () => Object.assign(registry.settings, { chunkLimit: 8 * MIB, saysChunkLimit: true });

  test("in one request goes on in chunks", async () => {
    fault("PUT", 1, { cutAfter: 3 * MIB });
    const made = content(20 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect([made.opened, chunks().length]).toEqual([2, 3]);
  });

  test("in the middle of a chunk goes on from what the registry has, and reads nothing again", async () => {
    inChunks();
    fault("PATCH", 2, { cutAfter: 3 * MIB });
    const made = content(20 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(made.opened).toBe(1);
    const ranges = registry.requests
      .filter(({ method }) => method === "PATCH")
      .map(({ headers }) => headers["content-range"]);
    expect(ranges[2]).toBe(`${11 * MIB}-${16 * MIB - 1}`);
  });

  test("because a gateway fails goes on", async () => {
    inChunks();
    fault("PATCH", 1, { status: 502 });
    const made = content(9 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(made.opened).toBe(1);
  });

  test("whose chunk arrived though its response was lost goes on with the next", async () => {
    inChunks();
    fault("PATCH", 1, { cutAnswer: true });
    const made = content(9 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(methods().filter((method) => method === "PATCH")).toHaveLength(2);
  });

  test("because the registry has lost it begins again", async () => {
    inChunks();
    fault("PATCH", 2, { cutAfter: 1 });
    const cut = registry.interfere;
    registry.interfere = (request) => {
      const what = cut(request);
      if (what) registry.uploads.clear();
      return what;
    };
    const made = content(17 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect(made.opened).toBe(2);
  });

  test("only because its end is refused for a moment is ended again, and not sent again", async () => {
    inChunks();
    fault("PUT", 1, { status: 503 });
    const made = content(17 * MIB);
    await put(made);
    expect(stored(made)?.equals(made.bytes)).toBe(true);
    expect([made.opened, chunks().length]).toEqual([1, 3]);
  });

  test("whose end was done though the response was lost is done", async () => {
    fault("PUT", 1, { cutAnswer: true });
    const made = content(1000);
    expect(await put(made)).toBe("sent");
    expect(made.opened).toBe(1);
  });

  test("for want of rights is reported at once, and cancelled", async () => {
    fault("PUT", 1, { status: 403 });
    await expect(put(content(1000))).rejects.toMatchObject({ status: 403 });
    expect(registry.uploads.size).toBe(0);
  });

  test.each([
    ["whole", 1000, () => ({})],
    ["in chunks", 9 * MIB, inChunks],
    ["large, in one request", 9 * MIB, () => ({})],
  ] as const)(
    "because its source does is reported as that, and never completed: %s",
    async (_, size, prepare) => {
      prepare();
      const made = content(size);
      made.open = async function* () {
        yield made.bytes.subarray(1);
        throw new Error("its bytes are others");
      };
      await expect(put(made)).rejects.toThrow("its bytes are others");
      expect([registry.blobs.size, registry.uploads.size]).toEqual([0, 0]);
    },
  );
});
