/** Bodies that the gateway refuses. */
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Refusal, sendError } from "../../../scripts/gateway/respond.ts";

test("a refused body that doesn't end is cut off", async () => {
  const server = createServer({ requestTimeout: 0 }, (incoming, response) => {
    const refusal = new Refusal(413, "DENIED", "it is too large");
    void sendError({ request: incoming, response, method: "PUT" }, refusal, true);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const sent = request({ port: (server.address() as AddressInfo).port, method: "PUT" });
  let isCut = false;
  for (const event of ["response", "error", "close"]) sent.on(event, () => (isCut = true));
  const piece = Buffer.alloc(1024 * 1024);
  let mib = 0;
  for (; !isCut && mib < 4096; mib++) {
    if (!sent.write(piece)) await Promise.race([once(sent, "drain").catch(() => {}), sleep(100)]);
  }
  sent.destroy();
  server.close();
  server.closeAllConnections();
  expect(mib).toBeLessThan(2048);
}, 60_000);
