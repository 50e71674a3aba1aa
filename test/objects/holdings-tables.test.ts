/** The ledger's tables of stored content: they are bounded, whatever clients request. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { HoldingsTables } from "../../src/objects/holdings-tables.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";

const HOUR = 3_600_000;

test("uses that clients cause are kept up to a number, the latest", async () => {
  const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
  const object = LEDGER.getByName(crypto.randomUUID());
  const kept = await runInDurableObject(object, (_, { storage }) => {
    const tables = new HoldingsTables(storage, 2);
    const digests = ["1", "2", "3"].map((digit): Digest => `sha256:${digit.repeat(64)}`);
    for (const [at, digest] of digests.entries())
      tables.use([{ digest, source: "docker.io/library/demo" }], at * HOUR);
    const read = tables.index().uses.map(({ digest }) => digest[7]);
    tables.prune();
    return { read, left: storage.sql.exec("SELECT count(*) AS count FROM uses").one().count };
  });
  expect(kept).toEqual({ read: ["3", "2"], left: 2 });
});
