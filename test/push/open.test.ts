/** An open mirror that others can reach takes no pushes: it doesn't know from whom they are. */
import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { Pusher } from "./support.ts";

const mirror = useMirror();

test("pushes and deletions are refused with what to do", async () => {
  const bytes = patternBytes(10);
  const client = new Pusher(mirror);
  const path = `/v2/hosted/app/blobs/uploads/?digest=${await digestOf(bytes)}`;
  for (const response of [
    await client.send("POST", path, { body: bytes }),
    await client.send("DELETE", "/v2/hosted/app/manifests/latest"),
  ]) {
    expect([response.status, JSON.stringify(response.json())]).toEqual([
      403,
      expect.stringContaining("ACCESS=keys"),
    ]);
  }
  expect(await mirror.stored()).toEqual([]);
});
