/** What the owner's page makes of traffic. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TrafficAt } from "../../src/ledger/traffic.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { roundUp } from "../../src/web/owner/charts.tsx";
import { barsOf, errorsOf, mostPulled } from "../../src/web/owner/figures.ts";
import { anchorOf, PARAGRAPHS, RESPONSES } from "../../src/web/owner/remedies.tsx";

function traffic(given: Partial<TrafficAt>): TrafficAt {
  return {
    start: 0,
    upstream: "docker.io",
    kind: "blob",
    served: "store",
    status: 200,
    requests: 1,
    bytes: 0,
    ...given,
  };
}

describe("bars", () => {
  test("have each record once, by where it was served from", () => {
    const bars = barsOf(
      [
        traffic({ start: 1000, bytes: 5 }),
        traffic({ start: 1099, served: "upstream", bytes: 7, requests: 2 }),
        traffic({ start: 1999, served: "stale", bytes: 11 }),
        traffic({ start: 1500, served: "", status: 404, bytes: 3 }),
      ],
      1000,
      2000,
      10,
    );
    expect(bars).toHaveLength(10);
    expect(bars[0]).toEqual({ start: 1000, own: 5, upstream: 7, requests: 3 });
    expect(bars[5]).toEqual({ start: 1500, own: 0, upstream: 0, requests: 1 });
    expect(bars[9]).toEqual({ start: 1900, own: 11, upstream: 0, requests: 1 });
  });

  test("lose nothing that starts before the first or after the last", () => {
    const bars = barsOf([traffic({ start: 0, bytes: 1 }), traffic({ start: 9000, bytes: 2 })], 1000, 2000, 4);
    expect(bars.map(({ own }) => own)).toEqual([1, 0, 0, 2]);
  });
});

test("errors are grouped by upstream and status, the most first, without what is no error of the mirror's", () => {
  const errors = errorsOf([
    traffic({ status: 503, requests: 2 }),
    traffic({ status: 503, requests: 3, kind: "manifest", start: 9 }),
    traffic({ status: 429, requests: 9, upstream: "ghcr.io" }),
    traffic({ status: 400, requests: 50 }),
    traffic({ status: 200, requests: 50 }),
  ]);
  expect(errors).toEqual([
    { upstream: "ghcr.io", status: 429, requests: 9, last: 0 },
    { upstream: "docker.io", status: 503, requests: 5, last: 9 },
  ]);
});

test("the chart's scale ends at a round number above the highest bar", () => {
  const tops = [0, 1, 3, 999, 1000, 1001, 6.5e9, 9e9].map(roundUp);
  expect(tops).toEqual([0, 1, 4, 1000, 1000, 2000, 8e9, 1e10]);
});

test("every remedy leads to a paragraph that the documentation has, in both languages", () => {
  const headings = (path: string) =>
    readFileSync(new URL(`../../docs/${path}`, import.meta.url).pathname, "utf8").match(/^#+ .+$/gm) ?? [];
  for (const { page, en, zh } of [RESPONSES, ...Object.values(PARAGRAPHS)]) {
    expect(headings(page)).toContain(`## ${en}`);
    expect(headings(`zh/${page}`)).toContain(`## ${zh}`);
  }
  expect(anchorOf("Endpoints: primary and fallbacks")).toBe("endpoints-primary-and-fallbacks");
  expect(decodeURIComponent(anchorOf("端点：主端点与回退端点"))).toBe("端点主端点与回退端点");
});

test("the most pulled are repositories, by the hours in which any content of theirs was", () => {
  const use = (source: string, uses: number, last: number) => ({
    ...{ digest: `sha256:${"a".repeat(64)}` as Digest, first: 0, level: 0 },
    ...{ source, uses, last },
  });
  expect(
    mostPulled([use("docker.io/a", 2, 10), use("docker.io/b", 5, 5), use("docker.io/a", 1, 30)]),
  ).toEqual([
    { source: "docker.io/b", hours: 5, last: 5 },
    { source: "docker.io/a", hours: 2, last: 30 },
  ]);
});
