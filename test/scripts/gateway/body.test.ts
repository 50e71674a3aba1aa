/** Bodies that are given up: refused ones without an end, and those of silent clients. */
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { bytesOf } from "../../../scripts/gateway/body.ts";
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

test("a body whose client is silent is given up, and not before", async () => {
  const sizes: number[] = [];
  const { promise: outcome, resolve } = Promise.withResolvers<string>();
  const server = createServer(async (incoming) => {
    try {
      for await (const { byteLength } of bytesOf(incoming, 300)) sizes.push(byteLength);
      resolve("it ended");
    } catch (error) {
      resolve(String(error));
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const sent = request({ port: (server.address() as AddressInfo).port, method: "PUT" });
  sent.on("error", () => {});
  sent.write(Buffer.alloc(10));
  await expect.poll(() => sizes).toEqual([10]);
  sent.write(Buffer.alloc(5));
  const given = await Promise.race([outcome, sleep(30_000, "it waits")]);
  sent.destroy();
  server.close();
  expect(sizes).toEqual([10, 5]);
  expect(given).toContain("the client is silent");
});
