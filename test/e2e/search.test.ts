// docker search through the mirror, with a real dockerd. Docker Hub is out of reach here: a relay finds instead.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { type Stage, startStage } from "./support/mirror.ts";

const FOUND = { name: "bitnami/nginx", description: "Bitnami's nginx", star_count: 200, is_official: false };
const searched: string[] = [];
const relay = createServer((request, response) => {
  searched.push(request.url ?? "");
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ results: [FOUND] }));
});
let stage: Stage;
let docker: Dockerd;

beforeAll(async () => {
  await once(relay.listen(0, "127.0.0.1"), "listening");
  const { port } = relay.address() as AddressInfo;
  const relays = [
    { url: `http://127.0.0.1:${port}`, insecure: true, upstreams: ["docker.io"], when: "always" },
  ];
  stage = await startStage(inject("registry"), { RELAYS: JSON.stringify(relays) });
  docker = await startDockerd(stage.url);
});
afterAll(async () => {
  await docker?.stop();
  await stage?.stop();
  relay.close();
});

test("docker search prints what the mirror has found, and asks once", async () => {
  for (let run = 0; run < 2; run++) {
    const printed = await docker.command(["search", "--no-trunc", `127.0.0.1:${stage.port}/nginx`]);
    expect(printed).toMatch(/bitnami\/nginx\s+Bitnami's nginx\s+200/);
  }
  expect(searched).toEqual(["/v1/search?q=nginx&n=50"]);
});
