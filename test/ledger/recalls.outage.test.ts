/** Recalled digests while the ledger that has their list can't be reached. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type RecallLedger, Recalls } from "../../src/ledger/recalls.ts";
import type { Digest } from "../../src/oci/digest.ts";

const NOWHERE: Digest = `sha256:${"0".repeat(64)}`;

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("a ledger that can't be reached", () => {
  const failing = (error: Error) => {
    const fails = () => Promise.reject(error);
    return { recalled: fails, recall: fails, undoRecall: fails } as RecallLedger;
  };
  const entry = { digest: NOWHERE, reason: "", at: 1 };
  const served = () => Promise.resolve(new Response("content"));

  /** One isolate's list, whose ledger and clock the test moves. */
  function createScene() {
    const scene = { now: 0, reads: 0, ledger: failing(new Error("down")) };
    const ledger = () => {
      scene.reads++;
      return scene.ledger;
    };
    const recalls = new Recalls(ledger, () => scene.now, 5);
    const status = () =>
      recalls.guard([NOWHERE], served).then(
        (response) => response.status,
        (error) => error.status,
      );
    return { scene, recalls, status };
  }
  const working = (list: () => Promise<(typeof entry)[]>) =>
    ({ ...failing(new Error("down")), recalled: list }) as RecallLedger;

  test("leaves what is known denied", async () => {
    const { scene, status } = createScene();
    scene.ledger = working(async () => [entry]);
    expect(await status()).toBe(403);
    scene.ledger = failing(new Error("down"));
    scene.now += 3_600_000;
    expect(await status()).toBe(403);
  });

  test("fails no pull, and is read again after a while", async () => {
    const { scene, status } = createScene();
    expect([await status(), await status(), scene.reads]).toEqual([200, 200, 1]);
    scene.ledger = working(async () => [entry]);
    scene.now += 10_000;
    expect(await status()).toBe(403);
  });

  test("that never responds holds up no pull", async () => {
    const { scene, status } = createScene();
    scene.ledger = working(() => new Promise(() => {}));
    expect(await status()).toBe(200);
  });

  test("makes recalling fail, so that the owner knows", async () => {
    const { recalls } = createScene();
    const services = { store: { delete: async () => {} }, manifests: { delete: () => true } };
    await expect(recalls.recall(services, { digest: NOWHERE })).rejects.toThrow("down");
  });

  test("a list that was read before a change and arrives after it doesn't undo the change", async () => {
    const { scene, recalls, status } = createScene();
    let arrive: (list: (typeof entry)[]) => void = () => {};
    const late = new Promise<(typeof entry)[]>((resolve) => {
      arrive = resolve;
    });
    scene.ledger = { ...working(() => late), recall: async () => [entry] };
    const before = recalls.guard([], served);
    await recalls.recall(
      { store: { delete: async () => {} }, manifests: { delete: () => true } },
      { digest: NOWHERE },
    );
    arrive([]);
    await before;
    expect(await status()).toBe(403);
  });
});
