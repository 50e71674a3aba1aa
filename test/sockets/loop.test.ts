/** Two mirrors that are each other's endpoints: one client request loops no more than a few times. */
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { newBlob, type Stage, startStage } from "./support/stage.ts";

const NAME = "loop.test";
const DIGEST = newBlob(1).digest;
/** Four requests are two rounds. Some objects are requested in two ways, each of which loops. */
const HANDFUL = 12;

/** A proxy that counts requests. It runs before its mirror starts, so that the other mirror can be configured with its address. */
class Counter {
  readonly vias: string[] = [];
  target = "";
  readonly #server: Server = createServer((incoming, outgoing) => {
    this.vias.push(String(incoming.headers.via));
    const { method, url, headers } = incoming;
    const { host } = new URL(this.target);
    const onward = request(new URL(url ?? "/", this.target), { method, headers: { ...headers, host } });
    onward.on("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const counters = [new Counter(), new Counter()] as const;
const stages: Stage[] = [];

beforeAll(async () => {
  for (const [index, counter] of counters.entries()) {
    const endpoint = `${await counter.start()}/${NAME}`;
    stages[index] = await startStage({ [NAME]: endpoint });
  }
  const [first, second] = counters;
  // The first mirror's requests reach the second one, and the other way round.
  first.target = stages[1]?.url ?? "";
  second.target = stages[0]?.url ?? "";
});
afterAll(async () => {
  for (const counter of counters) counter.close();
  await Promise.all(stages.map((stage) => stage.stop()));
});
beforeEach(() => {
  for (const { vias } of counters) vias.length = 0;
});

it.each([
  ["a tag", "GET", "manifests/latest", {}],
  ["a tag", "HEAD", "manifests/other", {}],
  ["a manifest by digest", "GET", `manifests/${DIGEST}`, {}],
  ["a blob", "GET", `blobs/${DIGEST}`, {}],
  ["a blob", "HEAD", `blobs/${DIGEST}`, {}],
  ["a part of a blob", "GET", `blobs/${DIGEST}`, { Range: "bytes=0-9" }],
  ["a list of tags", "GET", "tags/list", {}],
  ["a list of referrers", "GET", `referrers/${DIGEST}`, {}],
])("for %s by %s of %s", async (_, method, path, headers) => {
  // A separate repository for each, so that no test finds what another has cached.
  const repository = `some/${method}-${path}`.toLowerCase().replaceAll(/[^a-z0-9/-]|\/(?=.*\/)/g, "");
  const response = await fetch(`${stages[0]?.url}/v2/${NAME}/${repository}/${path}`, { method, headers });
  await response.arrayBuffer();
  expect(response.status).toBe(503);
  const vias = counters.flatMap((counter) => counter.vias);
  expect(vias.length).toBeGreaterThanOrEqual(4);
  expect(vias.length).toBeLessThanOrEqual(HANDFUL);
  // The longest way: twice through each mirror.
  expect(Math.max(...vias.map((via) => via.split(",").length))).toBe(4);
});
