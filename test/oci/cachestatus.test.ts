import { describe, expect, test } from "vitest";
import { type CacheStatus, formatCacheStatus } from "../../src/oci/cachestatus.ts";

describe("Cache-Status", () => {
  test.each<[string, CacheStatus, string]>([
    ["a hit in the store", { servedBy: "store" }, "Portolan; hit; detail=store"],
    ["a hit in memory", { servedBy: "memory" }, "Portolan; hit; detail=memory"],
    ["a hit at the edge", { servedBy: "edge" }, "Portolan; hit; detail=edge"],
    [
      "a fill",
      { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200, stored: true },
      "Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream",
    ],
    [
      "a request that waited for another's",
      { servedBy: "store", forward: "uri-miss", collapsed: true, stored: false },
      "Portolan; fwd=uri-miss; collapsed; detail=store",
    ],
    [
      "a tag confirmed upstream",
      { servedBy: "store", forward: "stale", forwardStatus: 200 },
      "Portolan; fwd=stale; fwd-status=200; detail=store",
    ],
    [
      "a tag whose upstream is down",
      { servedBy: "stale", forward: "stale", forwardStatus: 503 },
      "Portolan; fwd=stale; fwd-status=503; detail=stale",
    ],
    [
      "a tag that other sources agreed on",
      { servedBy: "quorum", forward: "uri-miss", forwardStatus: 503 },
      "Portolan; fwd=uri-miss; fwd-status=503; detail=quorum",
    ],
    ["a stale tag that wasn't requested upstream", { servedBy: "stale" }, "Portolan; hit; detail=stale"],
  ])("tells %s", (_, status, written) => expect(formatCacheStatus(status)).toBe(written));

  test("never calls what came from upstream a hit", () => {
    expect(formatCacheStatus({ servedBy: "upstream" })).toBe("Portolan; fwd=miss; detail=upstream");
  });

  test("says nothing of forwarding beside a hit", () => {
    expect(formatCacheStatus({ servedBy: "store", forwardStatus: 200, stored: true, collapsed: true })).toBe(
      "Portolan; hit; detail=store",
    );
  });
});
