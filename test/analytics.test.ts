/** The record of a request in Analytics Engine, whose failure no client notices. */
import { expect, test, vi } from "vitest";
import { patternBytes } from "./support/fake-registry.ts";
import { useMirror } from "./support/mirror.ts";

const mirror = useMirror();
const TAG = "/v2/library/demo/manifests/latest";

test("a request is one data point with what the log has of it", async () => {
  await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
  const writeDataPoint = vi.fn();
  mirror.services.analytics = { writeDataPoint };
  const { headers } = await mirror.request(TAG);
  await mirror.request(TAG, { method: "HEAD" });
  const blobs = ["docker.io", "library/demo", "manifest", "tag"];
  expect(writeDataPoint.mock.calls).toEqual([
    [
      {
        indexes: ["docker.io"],
        blobs: [...blobs, "upstream", "", "GET"],
        doubles: [200, Number(headers.get("Content-Length")), expect.any(Number)],
      },
    ],
    [
      {
        indexes: ["docker.io"],
        blobs: [...blobs, "memory", "", "HEAD"],
        doubles: [200, 0, expect.any(Number)],
      },
    ],
  ]);
});

test("a dataset that fails fails no pull", async () => {
  await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
  const writeDataPoint = vi.fn(() => {
    throw new Error("too many data points");
  });
  mirror.services.analytics = { writeDataPoint };
  expect((await mirror.request(TAG)).status).toBe(200);
  expect(writeDataPoint).toHaveBeenCalledOnce();
});
