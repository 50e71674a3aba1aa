// Whom a user's login is shown to. The network is a function here, so that every host of the Internet can be in it.
import { describe, expect, test } from "vitest";
import { RegistryClient } from "../../../scripts/registry/client.ts";
import { Exchange } from "../../../scripts/registry/exchange.ts";
import type { Network, Transport } from "../../../scripts/registry/network.ts";
import { type RemoteRepository, remoteOf, writable } from "../../../scripts/registry/remote.ts";
import { Uploader } from "../../../scripts/registry/upload.ts";
import { basic } from "../../../src/registry/registry.ts";
import { digest } from "../support/digest.ts";
import { shortWait } from "../support/wait.ts";

const LOGIN = { username: "user", password: "s3cret" };
const BASIC = basic(LOGIN);

interface Seen {
  url: string;
  method: string;
  authorization: string | null;
  body: string;
}

/** A network that answers by URL, the query left out; what isn't named is 404. */
function world(
  answers: Record<string, (request: Seen) => Response>,
  { login = LOGIN, insecure = false }: { login?: typeof LOGIN | null; insecure?: boolean } = {},
) {
  const seen: Seen[] = [];
  const ask = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const record = {
      url: request.url,
      method: request.method,
      authorization: request.headers.get("Authorization"),
      body: await request.text(),
    };
    seen.push(record);
    const response = answers[request.url.replace(/\?.*$/, "")];
    return response ? response(record) : new Response(null, { status: 404 });
  };
  const send: Transport["send"] = async (url, sent) =>
    Object.defineProperty(await ask(url, { ...sent, duplex: "half" } as RequestInit), "url", { value: url });
  const network: Network = { fetch: ask, transportFor: () => ({ fetch: ask, send }), close: async () => {} };
  const logins = { loginFor: async () => login && { ...login, source: "config.json" } };
  const exchange = new Exchange({ network, logins, insecure, wait: shortWait });
  const get = async (remote: RemoteRepository) =>
    (await exchange.send(remote, { method: "GET", at: "manifests/1" })).status;
  /** The hosts that were shown a secret of the login: the password, an identity token, or a token that was got by it. */
  const shown = () =>
    seen
      .filter(
        ({ authorization, body }) =>
          authorization !== null || (login !== null && body.includes(login.password)),
      )
      .map(({ url }) => new URL(url).host);
  return { seen, get, shown, exchange };
}

const challenge = (realm: string) => (request: Seen) =>
  request.authorization === "Bearer token"
    ? new Response("{}")
    : new Response(null, {
        status: 401,
        headers: { "WWW-Authenticate": `Bearer realm="${realm}",service="s"` },
      });
const token = () => Response.json({ token: "token", expires_in: 300 });
const to = (location: string) => () => new Response(null, { status: 307, headers: { location } });

const MANIFEST = "https://registry.example.com/v2/owner/image/manifests/1";
const REMOTE = remoteOf({ registry: "registry.example.com", repository: "owner/image" });

describe("a login", () => {
  test("goes to the realm that the registry names, on whatever host, over TLS", async () => {
    const { get, seen, shown } = world({
      [MANIFEST]: challenge("https://auth.example.net/token"),
      "https://auth.example.net/token": token,
    });
    expect(await get(REMOTE)).toBe(200);
    expect(shown()).toEqual(["auth.example.net", "registry.example.com"]);
    expect(seen[1]).toMatchObject({ method: "GET", authorization: BASIC });
  });

  test.each([
    ["http://auth.example.net/token"],
    ["http://registry.example.com/token"],
    ["http://127.0.0.1/token"],
  ])("doesn't go to a realm without TLS: %s", async (realm) => {
    const { get, shown } = world({ [MANIFEST]: challenge(realm), [realm]: token });
    await expect(get(REMOTE)).rejects.toThrow(/--insecure allows that/);
    expect(shown()).toEqual([]);
  });

  test("doesn't go along to where the registry redirects, nor does what it got", async () => {
    const storage = "https://storage.example.net/blob";
    const isIn = (request: Seen) => request.authorization === "Bearer token";
    const { get, seen } = world({
      [MANIFEST]: (request) =>
        isIn(request) ? to(storage)() : challenge("https://auth.example.net/token")(request),
      "https://auth.example.net/token": token,
      [storage]: () => new Response("{}"),
    });
    expect(await get(REMOTE)).toBe(200);
    expect(seen.at(-1)).toMatchObject({ url: storage, authorization: null });
  });

  test.each([
    ["its own host", "https://auth.example.net/v2/token", true],
    ["another host", "https://evil.example.org/token", false],
    ["the registry's host", "https://registry.example.com/token", true],
    ["its own host without TLS", "http://auth.example.net/token", false],
  ])("goes along where its realm redirects to %s: %s, %s", async (_, next, isFollowed) => {
    const { get, shown } = world({
      [MANIFEST]: challenge("https://auth.example.net/token"),
      "https://auth.example.net/token": to(next),
      [next]: token,
    });
    if (isFollowed) expect(await get(REMOTE)).toBe(200);
    else await expect(get(REMOTE)).rejects.toThrow(/redirects to/);
    const { host } = new URL(next);
    const after = isFollowed ? [host, "registry.example.com"] : [];
    expect(shown()).toEqual(["auth.example.net", ...after]);
  });

  test("isn't given to a redirect's target that requests it", async () => {
    const target = "https://evil.example.net/v2/owner/image/manifests/1";
    const { get, shown } = world({
      [MANIFEST]: to(target),
      [target]: () =>
        new Response(null, {
          status: 401,
          headers: { "WWW-Authenticate": 'Basic realm="x", Bearer realm="https://evil.example.net/token"' },
        }),
      "https://evil.example.net/token": token,
    });
    await expect(get(REMOTE)).rejects.toThrow();
    expect(shown()).toEqual([]);
  });

  test("as an identity token is exchanged at the realm, and never shown by Basic", async () => {
    const { get, seen } = world(
      { [MANIFEST]: challenge("https://auth.example.net/token"), "https://auth.example.net/token": token },
      { login: { username: "<token>", password: "identity" } },
    );
    expect(await get(REMOTE)).toBe(200);
    expect(seen[1]).toMatchObject({
      method: "POST",
      authorization: null,
      url: "https://auth.example.net/token",
    });
    expect(Object.fromEntries(new URLSearchParams(seen[1]?.body))).toMatchObject({
      grant_type: "refresh_token",
      refresh_token: "identity",
      service: "s",
      scope: "repository:owner/image:pull",
    });
  });

  test("stays with its registry when an upload goes on at another host", async () => {
    const storage = new URL("https://storage.example.net/upload");
    const { exchange, seen } = world({
      [MANIFEST]: challenge("https://auth.example.net/token"),
      "https://auth.example.net/token": token,
      [storage.href]: () => new Response(null, { status: 202 }),
    });
    await exchange.send(REMOTE, { method: "GET", at: "manifests/1" });
    await exchange.send(REMOTE, { method: "PATCH", at: storage, body: new Uint8Array(1) });
    expect(seen.at(-1)).toMatchObject({ method: "PATCH", authorization: null });
  });
});

describe("a redirect", () => {
  const INTERNAL = "https://10.0.0.1/blob";

  test("from the Internet doesn't lead into a network", async () => {
    const { get, seen } = world({ [MANIFEST]: to(INTERNAL), [INTERNAL]: () => new Response("{}") });
    await expect(get(REMOTE)).rejects.toThrow(/redirects to https:\/\/10\.0\.0\.1, which is not allowed/);
    expect(seen).toHaveLength(1);
  });

  test("within a network may", async () => {
    const remote = remoteOf({ registry: "registry.corp", repository: "owner/image" });
    const { get } = world({
      "https://registry.corp/v2/owner/image/manifests/1": to(INTERNAL),
      [INTERNAL]: () => new Response("{}"),
    });
    expect(await get(remote)).toBe(200);
  });

  test("doesn't lead out of TLS", async () => {
    const plain = "http://storage.example.net/blob";
    const { get, seen } = world({ [MANIFEST]: to(plain), [plain]: () => new Response("{}") });
    await expect(get(REMOTE)).rejects.toThrow(/not allowed/);
    expect(seen).toHaveLength(1);
  });

  test("of a name that stands before another registry takes that one's token along", async () => {
    const remote = remoteOf({ registry: "lscr.io", repository: "owner/image" });
    const { get } = world({
      "https://lscr.io/v2/owner/image/manifests/1": to("https://ghcr.io/v2/owner/image/manifests/1"),
      "https://ghcr.io/v2/owner/image/manifests/1": challenge("https://ghcr.io/token"),
      "https://ghcr.io/token": token,
    });
    expect(await get(remote)).toBe(200);
  });
});

describe("an upload", () => {
  test.each([
    "http://127.0.0.1:2375/containers/x",
    "https://127.0.0.1/x",
    "https://10.0.0.1/x",
    "https://[fd00::1]/x",
    "https://nas.local/x",
    "http://storage.example.net/x",
  ])(
    "doesn't go on at %s because a registry on the Internet says so, nor is it taken back there",
    async (at) => {
      const { exchange, seen } = world({
        "https://registry.example.com/v2/owner/image/blobs/uploads/": () =>
          new Response(null, { status: 202, headers: { location: at } }),
      });
      const network = {} as never;
      const client = new RegistryClient({
        network,
        logins: { loginFor: async () => null },
        insecure: false,
        wait: shortWait,
      });
      Object.assign(client, { exchange });
      const blob = { digest: digest(`sha256:${"a".repeat(64)}`), size: 1 };
      const put = new Uploader(client).put(REMOTE, {
        blob,
        mountFrom: null,
        open: async function* () {
          yield new Uint8Array(1);
        },
      });
      await expect(put).rejects.toThrow(/which is not allowed/);
      expect(seen.map(({ method }) => method)).toEqual(["POST"]);
    },
  );

  test.each(["POST", "PATCH", "PUT"] as const)(
    "isn't led into a network by a redirected %s",
    async (method) => {
      const url = "https://registry.example.com/v2/owner/image/blobs/uploads/1";
      const { exchange, seen } = world({ [url]: to("https://10.0.0.1/x") });
      const sent = exchange.send(REMOTE, { method, at: new URL(url), body: new Uint8Array(1) });
      await expect(sent).rejects.toThrow(/not allowed/);
      expect(seen).toHaveLength(1);
    },
  );
});

test("a token that is refused without a login is reported in its endpoint's words, as that a mirror needs a key", async () => {
  const message = "this mirror needs an access key";
  const { exchange } = world(
    {
      [MANIFEST]: challenge("https://registry.example.com/token"),
      "https://registry.example.com/token": () =>
        Object.defineProperty(
          Response.json({ errors: [{ code: "UNAUTHORIZED", message }] }, { status: 401 }),
          "url",
          { value: "https://registry.example.com/token" },
        ),
    },
    { login: null },
  );
  await expect(exchange.send(REMOTE, { method: "GET", at: "manifests/1" })).rejects.toThrow(
    /gives no token: this mirror needs an access key; .*docker login registry\.example\.com/,
  );
});

test("a token isn't requested inside a network on the word of a registry on the Internet", async () => {
  const realm = "https://10.0.0.1/token";
  const { get, seen } = world({ [MANIFEST]: challenge(realm), [realm]: token });
  await expect(get(REMOTE)).rejects.toThrow(/10\.0\.0\.1 as its token realm/);
  expect(seen).toHaveLength(1);
});

describe("a token", () => {
  const scopesIn = ({ seen }: ReturnType<typeof world>) =>
    seen
      .filter(({ url }) => url.includes("/token"))
      .map(({ url }) => new URL(url).searchParams.getAll("scope"));

  test("is for reading and writing at once where a repository is written to, and got once", async () => {
    const made = world({
      [MANIFEST]: challenge("https://auth.example.net/token"),
      "https://registry.example.com/v2/owner/image/blobs/uploads/": challenge(
        "https://auth.example.net/token",
      ),
      "https://auth.example.net/token": token,
    });
    const remote = writable(REMOTE);
    await made.get(remote);
    await made.exchange.send(remote, { method: "POST", at: "blobs/uploads/" });
    expect(scopesIn(made)).toEqual([["repository:owner/image:pull,push"]]);
  });

  test("to mount a blob is for both repositories", async () => {
    const made = world({
      "https://registry.example.com/v2/owner/image/blobs/uploads/": challenge(
        "https://auth.example.net/token",
      ),
      "https://auth.example.net/token": token,
    });
    const scopes = ["repository:owner/image:pull,push", "repository:other/image:pull"];
    await made.exchange.send(REMOTE, { method: "POST", at: "blobs/uploads/", scopes });
    expect(scopesIn(made)).toEqual([scopes]);
  });

  test("that has expired is renewed in the middle of an upload", async () => {
    let valid = "";
    let given = 0;
    const made = world({
      "https://registry.example.com/v2/owner/image/blobs/uploads/1": (request) =>
        request.authorization === valid && valid !== ""
          ? new Response(null, { status: 202 })
          : challenge("https://auth.example.net/token")(request),
      "https://auth.example.net/token": () => {
        given += 1;
        valid = `Bearer token-${given}`;
        return Response.json({ token: `token-${given}`, expires_in: 300 });
      },
    });
    const at = new URL("https://registry.example.com/v2/owner/image/blobs/uploads/1");
    const patch = () => made.exchange.send(REMOTE, { method: "PATCH", at, body: new Uint8Array(3) });
    expect((await patch()).status).toBe(202);
    valid = "";
    expect((await patch()).status).toBe(202);
    expect(given).toBe(2);
    expect(made.seen.at(-1)?.body).toHaveLength(3);
  });
});
