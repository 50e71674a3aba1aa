/** The fill by alarm: what it does when no request stores the blob, and when it must give up. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import { MAXIMUM_PUT } from "../../src/store/store.ts";
import { type Behaviour, behaviours, patternBytes, type RequestKind } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror();
const layer = patternBytes(300_000, 1);
let digest: string;
let key: string;

beforeEach(async () => {
  // Alarms are set for days from now, and run when the test wants it.
  mirror.clock.ahead = 10 * 24 * 3_600_000;
  const image = await mirror.docker.addImage("library/demo", "latest", { layers: [layer] });
  digest = image.layers[0]?.digest ?? "";
  const hex = digest.slice("sha256:".length);
  key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
});

function fill() {
  return mirror.fills(digest);
}

/** Holds a lease as a leader does, so that its alarm is due only in a while and runs when the test wants it. */
async function lease(repository = "library/demo", upstream = "docker.io"): Promise<void> {
  expect(await mirror.takeLease(digest, repository, upstream)).toBe("leader");
}

/** Milliseconds until the next alarm; null where none is set. */
async function nextAlarm(): Promise<number | null> {
  const at = await runInDurableObject(fill(), (_, state) => state.storage.getAlarm());
  return at && at - Date.now();
}

/** Seconds that an alarm was set to, some of which have passed since; 0 for any other number. */
function setTo(delay: number | null): number {
  return [2, 10, 60, 300].find((seconds) => (delay ?? Number.POSITIVE_INFINITY) <= seconds * 1000) ?? 0;
}

describe("the alarm", () => {
  test("fills what the leader didn't, and gives the lease back", async () => {
    await lease();
    expect(await mirror.runAlarm(digest)).toBe(true);
    expect(await mirror.stored()).toEqual([key]);
    expect(await nextAlarm()).toBe(null);
    await lease();
  });

  test("fetches nothing that is stored already", async () => {
    await lease();
    await mirror.bindings.STORE.put(key, layer);
    mirror.docker.reset();
    await mirror.runAlarm(digest);
    expect(mirror.docker.requests).toEqual([]);
    expect(await nextAlarm()).toBe(null);
  });

  test.each<{ name: string; behaviour: Behaviour }>([
    { name: "without a length", behaviour: behaviours.withoutContentLength() },
    {
      name: "encoded on the way",
      behaviour: behaviours.changedHeaders({ "content-encoding": "gzip", "content-length": "7" }),
    },
  ])("finds out by HEAD how long a body is that comes $name", async ({ behaviour }) => {
    await lease();
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviour);
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toEqual([key]);
  });

  test("finds out by a range of one byte what HEAD doesn't say", async () => {
    await lease();
    const lengthless = {
      transform: (response: Response, request: Request) => {
        if (request.headers.has("range") || !response.ok) return response;
        const headers = new Headers(response.headers);
        headers.delete("content-length");
        return new Response(response.body, { headers });
      },
    };
    mirror.docker.fail({ kind: "storage" }, lengthless);
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toEqual([key]);
  });

  test.each<{ name: string; behaviour: Behaviour }>([
    { name: "500", behaviour: { status: 500 } },
    { name: "429", behaviour: behaviours.tooManyRequests() },
    { name: "a lost connection", behaviour: { network: true } },
    { name: "other bytes", behaviour: behaviours.corrupted() },
    { name: "a part", behaviour: behaviours.partialToPlainGet() },
    { name: "a body cut short", behaviour: behaviours.cutAfter(1000) },
    { name: "a body that ends early", behaviour: behaviours.endsAfter(1000) },
    { name: "a body that goes on", behaviour: behaviours.wrongContentLength(-1) },
  ])("tries again after $name, later each time, and then gives up", async ({ behaviour }) => {
    await lease();
    // What breaks off can't be continued within an attempt.
    mirror.docker.settings.ranges = false;
    mirror.docker.fail({ kind: "storage" }, behaviour);
    const delays: number[] = [];
    for (let attempt = 0; attempt < 10 && (await mirror.runAlarm(digest)); attempt++) {
      const delay = await nextAlarm();
      if (delay !== null) delays.push(setTo(delay));
    }
    expect(delays).toEqual([2, 10, 60, 300]);
    expect(await mirror.stored()).toEqual([]);
    await lease();
  });

  test("gets there in the end", async () => {
    await lease();
    mirror.docker.fail({ kind: "storage" }, { status: 500 }, 2);
    await mirror.runAlarm(digest);
    await mirror.runAlarm(digest);
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toEqual([key]);
    expect(await nextAlarm()).toBe(null);
  });

  test.each<{ name: string; kind: RequestKind; behaviour: Behaviour }>([
    { name: "gone", kind: "blob", behaviour: { status: 404 } },
    { name: "denied", kind: "blob", behaviour: { status: 403 } },
    {
      name: "larger than one put",
      kind: "storage",
      behaviour: behaviours.changedHeaders({ "content-length": String(MAXIMUM_PUT + 1) }),
    },
  ])("doesn't try again for what is $name", async ({ kind, behaviour }) => {
    await lease();
    mirror.docker.fail({ kind, authorized: true }, behaviour);
    await mirror.runAlarm(digest);
    expect(await nextAlarm()).toBe(null);
    expect(await mirror.stored()).toEqual([]);
  });

  test("doesn't try again for an upstream that a deployment took out", async () => {
    await lease("library/demo", "gone.example.net");
    await mirror.runAlarm(digest);
    expect(await nextAlarm()).toBe(null);
  });

  test("tries again where the store can't be written", async () => {
    await lease();
    const put = mirror.outage("STORE", "put");
    await mirror.runAlarm(digest);
    expect(setTo(await nextAlarm())).toBe(2);
    put.mockRestore();
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toEqual([key]);
  });
});
