// What goes wrong on the way to a registry is reported as what it is: the proxy's, or a certificate's.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RegistryClient, remoteOf } from "../../../scripts/registry/client.ts";
import { failureOfError } from "../../../scripts/registry/failure.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import type { Resolve } from "../../../scripts/registry/reach.ts";
import { shortWait } from "../support/wait.ts";

const REMOTE = remoteOf({ registry: "registry.example.com", repository: "owner/image" });

describe("a proxy", () => {
  let server: Server;
  let host: string;
  let network: Network | null = null;
  let response: string | null;
  let requested: number;

  beforeEach(async () => {
    requested = 0;
    server = createServer().on("connect", (_request, socket) => {
      requested += 1;
      if (response === null) socket.destroy();
      else socket.end(`HTTP/1.1 ${response}\r\n\r\n`);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    await network?.close();
    server.close();
  });

  const ping = (proxy: string) => {
    network = openNetwork({ insecure: false }, { HTTPS_PROXY: proxy });
    const logins = { loginFor: async () => null };
    return new RegistryClient({ network, logins, insecure: false, wait: shortWait }).ping(REMOTE);
  };

  test.each([
    [
      "that wants a login",
      "http://",
      "407 Proxy Authentication Required",
      /the proxy 127.* wants a login: set HTTPS_PROXY/,
    ],
    [
      "that refuses its login",
      "http://me:secret@",
      "407 Proxy Authentication Required",
      /the proxy 127.* refuses its login/,
    ],
    ["that forbids the host", "http://", "403 Forbidden", /the proxy 127.* answered 403 to CONNECT registry/],
  ])("%s is reported, once, as that", async (_, start, given, reported) => {
    response = given;
    const failed = ping(start + host);
    await expect(failed).rejects.toThrow(reported);
    await expect(failed).rejects.not.toThrow(/secret/);
    expect(requested).toBe(1);
  });

  test.each([
    ["that fails", "502 Bad Gateway", /the proxy 127.* answered 502/],
    ["that breaks off", null, /the proxy 127.* broke off/],
  ])("%s is requested again, and reported", async (_, given, reported) => {
    response = given;
    await expect(ping(`http://${host}`)).rejects.toThrow(reported);
    expect(requested).toBeGreaterThan(1);
  });

  test.each(["http", "socks5"])("that isn't there is reported as not there: %s", async (scheme) => {
    await expect(ping(`${scheme}://127.0.0.1:4`)).rejects.toThrow(
      /the proxy 127\.0\.0\.1:4 can't be reached/,
    );
  });
});

test.each(["SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "DEPTH_ZERO_SELF_SIGNED_CERT"])(
  "a certificate of a CA of one's own comes with advice, and isn't tried again: %s",
  (code) => {
    const cause = Object.assign(new Error("self-signed certificate"), { code });
    const failure = failureOfError(new TypeError("fetch failed", { cause }), "registry.example.com", "");
    expect(failure.message).toMatch(/NODE_EXTRA_CA_CERTS/);
    expect(failure.isTransient).toBe(false);
  },
);

describe("a name that resolves to this machine", () => {
  let server: Server;
  let port: number;
  let network: Network;
  let requested: string[];

  beforeEach(async () => {
    requested = [];
    server = createServer((request, response) => {
      requested.push(`${request.method} ${request.headers.host}`);
      response.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    network = openNetwork({ insecure: true }, {}, (_name, _options, callback) =>
      callback(null, [{ address: "127.0.0.1", family: 4 }]),
    );
  });

  afterEach(async () => {
    await network.close();
    server.close();
  });

  const registry = () => network.transportFor(new URL(`http://registry.example.com:${port}`));
  const sent = (name: string, method = "PUT") => ({
    url: `http://${name}:${port}/`,
    method,
    headers: new Headers(),
  });

  test.each(["PUT", "DELETE", "GET"])(
    "isn't sent a %s on the word of a registry on the Internet",
    async (method) => {
      const { url, ...rest } = sent("storage.example.net", method);
      await expect(registry().send(url, rest)).rejects.toThrow(/not allowed/);
      await expect(registry().fetch(url, { method })).rejects.toThrow();
      expect(requested).toEqual([]);
    },
  );

  test("is, where the registry itself does", async () => {
    for (const name of ["registry.example.com", "storage.example.net"]) {
      const { url, ...rest } = sent(name);
      expect((await registry().send(url, rest)).status).toBe(200);
    }
    expect(requested).toHaveLength(2);
  });
});

describe("without TLS", () => {
  test.each([
    ["no request leaves this machine", false, /--insecure allows that/],
    ["one does with --insecure", true, /UNREACHABLE/],
  ])("%s", async (_, insecure, message) => {
    const lookup: Resolve = (_name, _options, done) => done(new Error("UNREACHABLE"), []);
    const network = openNetwork({ insecure }, {}, lookup);
    const failed = network.fetch("http://registry.example.com/v2/").catch((error) => {
      throw new Error(String(error.cause ?? error));
    });
    await expect(failed).rejects.toThrow(message);
    await network.close();
  });
});
