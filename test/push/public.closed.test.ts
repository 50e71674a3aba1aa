/** HOSTED_PUBLIC on a mirror that has no keys: it stays closed, and never challenges. */
import { expect, test } from "vitest";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror({ ACCESS: "keys", HOSTED_PUBLIC: ["hosted/*"] });

test("a mirror without keys is closed for public repositories too", async () => {
  for (const path of [
    "/v2/hosted/app/tags/list",
    "/_/token?service=mirror.test&scope=repository:hosted/app:pull",
  ]) {
    const { status, headers } = await mirror.request(path);
    expect([status, headers.has("WWW-Authenticate")]).toEqual([403, false]);
  }
});
