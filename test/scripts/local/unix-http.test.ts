/** HTTP over a Unix domain socket: what a failure says of the other end. */
import { mkdtemp, rm } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isDisconnected, listenAt, postTo } from "../../../scripts/local/unix-http.ts";

async function serve(listener: RequestListener): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "portolan-unix-http-"));
  const path = join(folder, "test.sock");
  const server = await listenAt(path, listener);
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  });
  return path;
}

const failureOf = (path: string): Promise<unknown> =>
  postTo(path, "/").then(
    () => null,
    (error: unknown) => error,
  );

test("a connection that is refused or ends without a response means that nothing is there", async () => {
  expect(isDisconnected(await failureOf("/nonexistent/portolan.sock"))).toBe(true);
  expect(isDisconnected(await failureOf(await serve(({ socket }) => socket.destroy())))).toBe(true);
});

test("a response that isn't the expected one doesn't", async () => {
  const error = await failureOf(await serve((_, response) => response.writeHead(500).end()));
  expect(String(error)).toContain("answered 500");
  expect(isDisconnected(error)).toBe(false);
});
