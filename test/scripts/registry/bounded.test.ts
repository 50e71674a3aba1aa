// What a registry may have the command line read: never more than a bound, whatever it was compressed from.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { constants, createGzip } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RegistryClient, remoteOf } from "../../../scripts/registry/client.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import { shortWait } from "../support/wait.ts";

let server: Server;
let network: Network;
let client: RegistryClient;
let base: string;
/** Bytes that were given to be compressed until the client left. */
let given: number;

beforeEach(async () => {
  given = 0;
  server = createServer((request, response) => {
    if (request.url?.startsWith("/v2/token-bomb/")) {
      response.writeHead(401, { "www-authenticate": `Bearer realm="${base}/token"` }).end();
      return;
    }
    response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
    const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
    gzip.pipe(response);
    gzip.write('{"token":"');
    const zeros = Buffer.alloc(1024 * 1024, "0");
    const more = () => {
      if (response.destroyed) return;
      given += zeros.length;
      // What is never left would be endless.
      if (given < 512 * zeros.length) gzip.write(zeros, more);
      else gzip.end('"}');
    };
    more();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  network = openNetwork({ insecure: false }, {});
  client = new RegistryClient({
    network,
    logins: { loginFor: async () => null },
    insecure: false,
    wait: shortWait,
  });
});

afterEach(async () => {
  await network.close();
  server.closeAllConnections();
  server.close();
});

test.each([
  ["a token response", "token-bomb", /the token response of .* has more than 65536 bytes/],
  ["a manifest", "owner/image", /manifests\/1 has more than \d+ bytes/],
])("%s that decompresses to any size is aborted at its bound", async (_, repository, reported) => {
  const remote = remoteOf({ registry: new URL(base).host, repository });
  await expect(client.manifest(remote, "1")).rejects.toMatchObject({
    code: "TOO_LARGE",
    message: expect.stringMatching(reported),
  });
  expect(given).toBeLessThan(128 * 1024 * 1024);
});
