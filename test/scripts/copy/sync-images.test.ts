import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Outcome, sync } from "../../../scripts/copy/sync-images.ts";
import { type Entry, parseList } from "../../../scripts/copy/sync-list.ts";
import { RegistryClient } from "../../../scripts/registry/client.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import { openProgress } from "../../../scripts/terminal/progress.ts";
import { createFakeRegistry, type FakeRegistry } from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { type PushRegistry, startPushRegistry } from "../support/push-registry.ts";
import { shortWait } from "../support/wait.ts";

let fake: FakeRegistry;
let served: ListeningRegistry;
let target: PushRegistry;
let network: Network;

beforeEach(async () => {
  fake = createFakeRegistry();
  served = await listen(fake);
  target = await startPushRegistry();
  network = openNetwork({ insecure: false }, {});
  for (const tag of ["1.0", "1.1", "2.0"]) await fake.addImage("owner/image", tag);
});

afterEach(async () => {
  await network.close();
  await Promise.all([served.close(), target.close()]);
});

function syncAll(entries: readonly Entry[], seen: Outcome[] = []): Promise<Outcome[]> {
  const client = new RegistryClient({
    network,
    logins: { loginFor: async () => null },
    insecure: false,
    wait: shortWait,
  });
  return sync(entries, {
    client,
    progress: openProgress({ quiet: true }),
    parallel: 2,
    dryRun: false,
    onOutcome: (outcome) => seen.push(outcome),
    describe: String,
  });
}

function list(...lines: string[]): Entry[] {
  const text = lines.join("\n").replaceAll("SOURCE", served.host).replaceAll("TARGET", target.host);
  return parseList(text, "images.txt", { platform: null, referrers: false });
}

const states = (outcomes: readonly Outcome[]) => outcomes.map(({ state }) => state);

test("outcomes come in the list's order, though they are reported as they come", async () => {
  const seen: Outcome[] = [];
  const afterTheOther = async (response: Response) => {
    await expect.poll(() => seen.length).toBe(1);
    return response;
  };
  fake.fail({ path: /manifests\/1\.0$/ }, { transform: afterTheOther });
  const outcomes = await syncAll(
    list("SOURCE/owner/image:1.0 TARGET/a:1", "SOURCE/owner/image:2.0 TARGET/b:1"),
    seen,
  );
  expect(outcomes.map((each) => each.target)).toEqual([`${target.host}/a:1`, `${target.host}/b:1`]);
  expect(seen.map((each) => each.target)).toEqual([`${target.host}/b:1`, `${target.host}/a:1`]);
});

describe("one tag", () => {
  test("isn't what several tags become", async () => {
    const outcomes = await syncAll(list("SOURCE/owner/image:1.* TARGET/mirror/image:stable"));
    expect(outcomes).toMatchObject([
      { state: "failed", error: expect.stringMatching(/2 tags can't all become .*:stable/) },
    ]);
    expect(target.manifests.size).toBe(0);
  });

  test("may be what the one tag becomes that a pattern matches", async () => {
    const outcomes = await syncAll(list("SOURCE/owner/image:2.* TARGET/mirror/image:stable"));
    expect(states(outcomes)).toEqual(["copied"]);
  });

  test("isn't what two entries become, of which the first counts; the same twice is copied once", async () => {
    const outcomes = await syncAll(
      list(
        "SOURCE/owner/image:1.0 TARGET/mirror/image:stable",
        "SOURCE/owner/image:1.0 TARGET/mirror/image:stable",
        "SOURCE/owner/image:2.0 TARGET/mirror/image:stable",
      ),
    );
    expect(states(outcomes)).toEqual(["copied", "failed"]);
    expect(outcomes[1]).toMatchObject({
      error: expect.stringMatching(/line 3: .*:1\.0.* goes there already/),
    });
  });
});
