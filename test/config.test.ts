import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { REGISTRIES } from "../src/upstream/registries.ts";
import { complaint, endpointsOf } from "./support/config.ts";

describe("without any variable", () => {
  const config = readConfig({});

  test("names without an upstream belong to docker.io, at its registry and with its realm", () => {
    expect(config.defaultUpstream.name).toBe("docker.io");
    expect(config.defaultUpstream.endpoints[0]?.href).toBe("https://registry-1.docker.io/");
    expect(config.defaultUpstream.realms).toEqual(["auth.docker.io"]);
  });

  test("there is no host routing, a tag is fresh for five minutes, and stale ones live for thirty days", () => {
    expect(config).toMatchObject({ domain: null, tagTtl: 300, staleMax: 2_592_000 });
    expect(config.defaultUpstream.tagTtl).toBe(300);
  });

  test("every built-in name is known, and they are listed in order", () => {
    expect(config.upstreamNames).toEqual(Object.keys(REGISTRIES).sort());
  });

  test("bindings and secrets beside the variables don't disturb", () => {
    expect(readConfig({ STORE: {}, TAGS: {}, OTHER_SECRET: "x" }).tagTtl).toBe(300);
  });
});

describe("UPSTREAMS", () => {
  const table = { "registry.example.org": { realms: ["auth.example.org"], tagTtl: 60 } };

  test.each([
    ["a table", table],
    ["JSON", JSON.stringify(table)],
  ])("adds an upstream at the host of its name, given as %s", (_, UPSTREAMS) => {
    const upstream = readConfig({ UPSTREAMS }).upstream("registry.example.org");
    expect(upstream).toMatchObject({ realms: ["auth.example.org"], tagTtl: 60, aliases: [] });
    expect(endpointsOf({ UPSTREAMS }, "registry.example.org")).toEqual(["https://registry.example.org/"]);
  });

  test("replaces of a built-in upstream what it names and leaves the rest", () => {
    const endpoints = ["https://registry-1.docker.io", "https://mirror.gcr.io"];
    const upstream = readConfig({ UPSTREAMS: { "docker.io": { endpoints } } }).upstream("docker.io");
    expect(upstream?.endpoints.map(({ origin }) => origin)).toEqual(endpoints);
    expect(upstream?.realms).toEqual(["auth.docker.io"]);
    expect(upstream?.aliases).toContain("index.docker.io");
  });

  test("leaves the built-in table as it was for the next configuration", () => {
    readConfig({ UPSTREAMS: { "ghcr.io": { endpoints: ["https://other.example.org"], aliases: [] } } });
    expect(endpointsOf({}, "ghcr.io")).toEqual(["https://ghcr.io/"]);
  });

  test("sets a tag's time for one upstream over TAG_TTL, which holds for the others", () => {
    const config = readConfig({ TAG_TTL: "900", UPSTREAMS: { "quay.io": { tagTtl: "0" } } });
    expect(config.upstream("quay.io")?.tagTtl).toBe(0);
    expect(config.upstream("ghcr.io")?.tagTtl).toBe(900);
  });

  test("adds a family", () => {
    const config = readConfig({ UPSTREAMS: { "*.example.org": {} } });
    expect(config.upstreamNames).toContain("*.example.org");
    expect(config.upstream("a.example.org")?.name).toBe("a.example.org");
    expect(config.upstream("example.org")).toBeNull();
  });

  test("takes an endpoint with a path that goes before the repository's name", () => {
    const UPSTREAMS = { "docker.io": { endpoints: ["https://m.daocloud.io/docker.io"] } };
    expect(endpointsOf({ UPSTREAMS }, "docker.io")).toEqual(["https://m.daocloud.io/docker.io"]);
  });

  describe.each(["http://127.0.0.1:5000", "http://registry.lan:5000", "http://registry.example"])(
    "an endpoint without encryption: %s",
    (endpoint) => {
      const endpoints = ["https://registry.example", endpoint];

      test.each([true, "true"])("is accepted with insecure = %j", (insecure) => {
        const UPSTREAMS = { local: { endpoints: [endpoint], insecure } };
        expect(endpointsOf({ UPSTREAMS }, "local")).toEqual([`${endpoint}/`]);
      });

      test.each([{}, { insecure: false }])("is refused with %j, by its name and with the remedy", (given) => {
        const UPSTREAMS = {
          local: { endpoints, ...given },
          other: { endpoints: [endpoint], insecure: true },
        };
        const text = complaint({ UPSTREAMS });
        expect(text).toContain(`UPSTREAMS.local.endpoints: ${endpoint} would be reached without encryption`);
        expect(text).toContain("insecure = true");
        expect(text).not.toContain("UPSTREAMS.other");
      });
    },
  );

  describe("passwords", () => {
    const local = { endpoints: ["http://registry.lan:5000"], insecure: true };
    const UPSTREAM_CREDENTIALS = { local: [{ username: "u", password: "hunter2" }] };

    test("aren't sent to a primary endpoint on another machine without encryption", () => {
      const text = complaint({ UPSTREAMS: { local }, UPSTREAM_CREDENTIALS });
      expect(text).toContain("UPSTREAM_CREDENTIALS: would go to http://registry.lan:5000 without encryption");
      expect(text).not.toContain("hunter2");
      expect(complaint({ DOMAIN: "example.com", UPSTREAMS: { local: { ...local, login: true } } })).toContain(
        "UPSTREAMS.local.login: users' passwords would go to http://registry.lan:5000 without encryption",
      );
    });

    test.each([
      ["on this machine", ["http://127.0.0.1:5000"]],
      ["with encryption", ["https://registry.lan", "http://fallback.lan"]],
    ])("are sent to a primary endpoint %s", (_, endpoints) => {
      const UPSTREAMS = { local: { ...local, endpoints, login: true } };
      const config = readConfig({ DOMAIN: "example.com", UPSTREAMS, UPSTREAM_CREDENTIALS });
      expect(config.credentials).toEqual(UPSTREAM_CREDENTIALS);
    });
  });
});

describe("a wrong value is refused by its name", () => {
  const upstream = (settings: unknown) => ({ UPSTREAMS: { "a.example.org": settings } });
  const endpoint = (url: unknown) => upstream({ endpoints: [url] });

  test.each<[string, object, string]>([
    ["a domain in upper case", { DOMAIN: "Example.com" }, "DOMAIN"],
    ["a domain with a port", { DOMAIN: "example.com:8080" }, "DOMAIN"],
    ["a domain with a dot at its end, which no label stands before", { DOMAIN: "example.com." }, "DOMAIN"],
    ["a domain that is a URL", { DOMAIN: "https://example.com" }, "DOMAIN"],
    ["a domain with a wildcard, which no host is ever below", { DOMAIN: "*.example.com" }, "DOMAIN"],
    ["a domain that is no text", { DOMAIN: 3 }, "DOMAIN"],
    ["a default that isn't mirrored", { DEFAULT_UPSTREAM: "nowhere.example.org" }, "DEFAULT_UPSTREAM"],
    ["a default that is only a host label", { DEFAULT_UPSTREAM: "ghcr" }, "DEFAULT_UPSTREAM"],
    ["a default that is a whole family", { DEFAULT_UPSTREAM: "*.pkg.dev" }, "DEFAULT_UPSTREAM"],
    ["a default that is no text", { DEFAULT_UPSTREAM: 5 }, "DEFAULT_UPSTREAM"],
    ["a time in words", { TAG_TTL: "5m" }, "TAG_TTL"],
    ["a time with a fraction", { TAG_TTL: 1.5 }, "TAG_TTL"],
    ["a time without end", { TAG_TTL: Number.POSITIVE_INFINITY }, "TAG_TTL"],
    ["a time beyond all numbers", { TAG_TTL: "9".repeat(400) }, "TAG_TTL"],
    ["a time below zero", { STALE_MAX: -1 }, "STALE_MAX"],
    ["a time below zero as text", { STALE_MAX: "-1" }, "STALE_MAX"],
    ["an empty time", { STALE_MAX: "" }, "STALE_MAX"],
    ["a switch that is neither on nor off", { RESUME: "yes" }, "RESUME: must be true or false"],
    ["broken JSON", { UPSTREAMS: '{"a.b":' }, "UPSTREAMS: must be a table or a JSON object"],
    ["JSON that is a list", { UPSTREAMS: "[{}]" }, "UPSTREAMS"],
    ["a list for the table", { UPSTREAMS: [{}] }, "UPSTREAMS"],
    ["a number for the table", { UPSTREAMS: 3 }, "UPSTREAMS: must be a table or a JSON object"],
    ["an upstream's name in upper case", { UPSTREAMS: { "A.example.org": {} } }, "UPSTREAMS.A.example.org"],
    ["an upstream's name with a port", { UPSTREAMS: { "a.org:80": {} } }, "UPSTREAMS.a.org:80"],
    ["an upstream's name that is no host", { UPSTREAMS: { "256.256.256.256": {} } }, "256.256.256.256"],
    ["a word that isn't one", upstream({ insecure: "yes" }), "a.example.org.insecure: must be true or false"],
    ["another scheme", endpoint("ftp://a.example.org"), "a.example.org.endpoints.0: "],
    ["an endpoint with a password", endpoint("https://u:p@a.example.org"), "a.example.org.endpoints.0: "],
    ["an endpoint with a path no name has", endpoint("https://a.org/a%2Fb"), "a.example.org.endpoints.0: "],
    ["an endpoint with a fragment", endpoint("https://a.example.org/#x"), "a.example.org.endpoints.0: "],
    ["an endpoint with a query", endpoint("https://a.example.org/?x"), "a.example.org.endpoints.0: "],
    ["an endpoint that is no URL", endpoint("a.example.org"), "a.example.org.endpoints.0: must be a URL"],
    ["no endpoints at all", upstream({ endpoints: [] }), "a.example.org.endpoints: "],
    ["endpoints without a list", upstream({ endpoints: "https://a.org" }), "a.example.org.endpoints"],
    ["a realm that is a URL", upstream({ realms: ["https://auth.example.org"] }), "a.example.org.realms.0"],
    ["an alias in upper case", upstream({ aliases: ["Mine"] }), "a.example.org.aliases.0"],
    ["a wrong time of one upstream", upstream({ tagTtl: "soon" }), "a.example.org.tagTtl: must be a whole"],
    ["a time below zero of one upstream", upstream({ tagTtl: -1 }), "a.example.org.tagTtl"],
    ["a setting that doesn't exist", upstream({ realm: ["auth.example.org"] }), "a.example.org.realm"],
    ["an upstream that is no table", upstream("https://a.example.org"), "UPSTREAMS.a.example.org"],
  ])("%s", (_, env, named) => expect(complaint(env)).toContain(named));

  test.each<[string, object]>([
    ["an endpoint that is no URL", { endpoints: ["a.example.org"] }],
    ["a setting that doesn't exist", { realm: ["auth.example.org"] }],
  ])("in JSON as well as in a table: %s", (_, settings) => {
    const UPSTREAMS = { "a.example.org": settings };
    expect(complaint({ UPSTREAMS: JSON.stringify(UPSTREAMS) })).toBe(complaint({ UPSTREAMS }));
  });

  test("together with all others that are wrong", () => {
    const text = complaint({ DOMAIN: 3, TAG_TTL: "x", STALE_MAX: -2 });
    for (const name of ["DOMAIN", "TAG_TTL", "STALE_MAX"]) expect(text).toContain(name);
  });
});

describe("UPSTREAM_CREDENTIALS", () => {
  const table = { "docker.io": [{ username: "u", password: "hunter2" }] };

  test.each([
    ["a table", table],
    ["JSON", JSON.stringify(table)],
  ])("gives logins by upstream, as %s", (_, UPSTREAM_CREDENTIALS) => {
    expect(readConfig({ UPSTREAM_CREDENTIALS }).credentials).toEqual(table);
  });

  test("is none by default", () => expect(readConfig({}).credentials).toEqual({}));

  test.each<[string, unknown]>([
    ["broken JSON", '{"docker.io":[{"username":"u","password":"hunter2"}'],
    ["a bare password", "hunter2"],
    ["a login without a list", { "docker.io": { username: "u", password: "hunter2" } }],
    ["a login as text", { "docker.io": ["u:hunter2"] }],
    ["a login without a user", { "docker.io": [{ password: "hunter2" }] }],
    ["a password under another name", { "docker.io": [{ username: "u", token: "hunter2" }] }],
    ["a password in a list", { "docker.io": [{ username: "u", password: ["hunter2"] }] }],
    ["a setting too many", { "docker.io": [{ username: "u", password: "p", token: "hunter2" }] }],
    ["logins that are text", { "docker.io": "hunter2" }],
    ["a list", ["hunter2"]],
  ])("that is wrong is refused without a word of what it holds: %s", (_, UPSTREAM_CREDENTIALS) => {
    const text = complaint({ UPSTREAM_CREDENTIALS });
    expect(text).toContain("UPSTREAM_CREDENTIALS");
    expect(text).not.toContain("hunter2");
  });
});

describe("ACCESS_KEYS", () => {
  const SECRET = "k".repeat(32);
  const hash = "ab".repeat(32);

  test.each<[string, unknown]>([
    ["a list of bare keys", [SECRET]],
    ["a bare key", SECRET],
    ["keys by name", { ci: SECRET }],
    ["a key as its hash", [{ name: "ci", hash: SECRET }]],
    ["a key in the hash's list", [{ name: "ci", hash: [SECRET] }]],
    ["a key beside its hash", [{ name: "ci", hash, key: SECRET }]],
    ["a key as the name of a setting", [{ name: "ci", hash, [SECRET]: true }]],
    ["a key as a pattern", [{ name: "ci", hash, allow: SECRET }]],
    ["a key as a time", [{ name: "ci", hash, expires: SECRET }]],
    ["a key as a rate", [{ name: "ci", hash, rate: SECRET }]],
  ])("that is wrong is refused without a word of what it holds: %s", (_, given) => {
    for (const ACCESS_KEYS of [given, JSON.stringify(given)]) {
      const text = complaint({ ACCESS_KEYS });
      expect(text).toContain("ACCESS_KEYS");
      expect(text).not.toContain(SECRET);
    }
  });
});

describe("RELAYS", () => {
  const RELAYS = [{ url: "https://home.example.com", upstreams: ["docker.io"] }];
  const KEY = "k".repeat(32);

  test("are requested when a registry limits requests, with the key of their host, and are the operator's hosts", () => {
    const config = readConfig({ RELAYS, RELAY_KEYS: { "home.example.com": KEY } });
    expect(config.relays).toEqual([
      {
        url: new URL("https://home.example.com"),
        upstreams: ["docker.io"],
        when: "limited",
        private: false,
        key: KEY,
        binding: null,
      },
    ]);
    expect(config.isOperators(new URL("https://home.example.com/v2/"))).toBe(true);
    expect(config.isOperators(new URL("https://other.example.com/v2/"))).toBe(false);
  });

  test("are taken as JSON too", () => {
    const given = { RELAYS: JSON.stringify(RELAYS), RELAY_KEYS: JSON.stringify({ "home.example.com": KEY }) };
    expect(readConfig(given).relays[0]?.key).toBe(KEY);
  });

  test.each([
    ["http://home.example.com", "without encryption: use https, or accept that with insecure = true"],
    ["https://home.example.com/docker.io", "must be the URL of a mirror"],
    ["https://user:secret@home.example.com", "must be the URL of a mirror"],
    ["home.example.com", "must be the URL of a mirror"],
  ])("can't be at %s", (url, message) => {
    expect(complaint({ RELAYS: [{ url }] })).toContain(
      `RELAYS.0.url: ${message === "must be the URL of a mirror" ? message : `would receive its key ${message}`}`,
    );
  });

  test.each(["http://127.0.0.1:8787", "http://[::1]:8787"])("may be at %s, on this machine", (url) => {
    expect(readConfig({ RELAYS: [{ url }] }).relays).toHaveLength(1);
  });

  test("have known upstreams and settings only", () => {
    const url = "https://home.example.com";
    expect(complaint({ RELAYS: [{ url, upstreams: ["docker.oi"] }] })).toContain(
      "RELAYS: no upstream is named docker.oi",
    );
    expect(complaint({ RELAYS: [{ url, when: "sometimes" }] })).toContain("must be always or limited");
    expect(complaint({ RELAYS: [{ url, key: "x" }] })).toContain("can only have url, upstreams, when");
  });

  test("never have their keys in a message", () => {
    for (const RELAY_KEYS of [{ "home.example.com": 1, [KEY]: 2 }, KEY, { [KEY]: KEY }]) {
      const message = complaint({ RELAYS, RELAY_KEYS });
      expect(message).toContain("RELAY_KEYS: ");
      expect(message).not.toContain(KEY);
    }
  });
});

describe("TAG_QUORUM", () => {
  const sources = ["https://a.example.com/docker.io", "https://b.example.com"];
  const complaintFor = (quorum: object, name = "docker.io", vars = {}) =>
    complaint({ ...vars, TAG_QUORUM: { [name]: { sources, ...quorum } } });

  test("is off by default", () => expect(readConfig({}).tagQuorums).toEqual({}));

  test.each([
    ["a table", (given: object) => given],
    ["JSON", JSON.stringify],
  ])("takes two that agree unless another number is given, as %s", (_, written) => {
    const quorum = { sources: sources.map((url) => new URL(url)), agree: 2 };
    expect(readConfig({ TAG_QUORUM: written({ "docker.io": { sources } }) }).tagQuorums).toEqual({
      "docker.io": quorum,
    });
  });

  test("gives its sources no access to this machine and private networks", () => {
    const { isOperators } = readConfig({ TAG_QUORUM: { "docker.io": { sources } } });
    expect(isOperators(new URL("https://a.example.com/v2/"))).toBe(false);
  });

  test.each([
    [{ agree: 1 }, "TAG_QUORUM.docker.io.agree: must be a whole number, 2 at least"],
    [{ agree: 2.5 }, "TAG_QUORUM.docker.io.agree: must be a whole number"],
    [{ agree: 3 }, "TAG_QUORUM.docker.io: must have sources on at least as many hosts as have to agree"],
    [{ sources: ["https://a.test", "https://a.test:8443/x"] }, "must have sources on at least as many hosts"],
    [{ sources: ["https://a.test", "https://a.test./x"] }, "must have sources on at least as many hosts"],
    [{ sources: ["http://a.test", "https://b.test"] }, "TAG_QUORUM.docker.io.sources.0: must be https"],
    [{ sources: ["https://u:p@a.test", "https://b.test"] }, "must not carry a user name or password"],
    [{ sources: ["https://10.0.0.1", "https://b.test"] }, "must be a public host"],
    [{ sources: ["https://registry-1.docker.io/x", "https://b.test"] }, "names the primary"],
    [{ sources: Array.from({ length: 6 }, (_, n) => `https://m${n}.test`) }, "must be 5 at most"],
    [{ sources: "https://a.test" }, "TAG_QUORUM.docker.io.sources: must be a list of URLs"],
    [{ trust: true }, "can only have sources and agree"],
  ])("can't be %o", (quorum, message) => expect(complaintFor(quorum)).toContain(message));

  test.each([
    ["docker.oi", {}, "TAG_QUORUM: no upstream is named docker.oi"],
    ["registry.redhat.io", {}, "is for public content"],
    [
      "lan.test",
      { UPSTREAMS: { "lan.test": { endpoints: ["https://192.168.1.5"] } } },
      "is for public content",
    ],
  ])("can't be that of %s", (name, vars, message) => expect(complaintFor({}, name, vars)).toContain(message));
});

describe("HOSTED_RETENTION", () => {
  const rules = { "hosted/ci/*": { keep: 10, younger: "30d", tags: "v*, latest" }, "hosted/*": { keep: 1 } };

  test.each([rules, JSON.stringify(rules)])("is read in its order: %j", (HOSTED_RETENTION) => {
    expect(readConfig({ HOSTED_RETENTION }).hosted.retention).toEqual([
      { pattern: "hosted/ci/*", keep: 10, younger: 30 * 86_400_000, tags: ["v*", "latest"] },
      { pattern: "hosted/*", keep: 1, younger: 0, tags: [] },
    ]);
  });

  test.each<[object, string]>([
    [{}, "must have keep, younger or tags"],
    [{ tags: [] }, "must have keep, younger or tags"],
    [{ keep: 0 }, "keep: must be a number of tags, 1 at least"],
    [{ keep: "10" }, "keep: must be a number of tags, 1 at least"],
    [{ younger: "30" }, "younger: must be a time such as 12h, 30d or 4w"],
    [{ younger: "0d" }, "younger: must be a time such as 12h, 30d or 4w"],
    [{ tags: "v 1" }, "must be a pattern of tags such as v*"],
    [{ older: "30d" }, "can only have keep, younger and tags"],
  ])("with %j is refused", (rule, message) => {
    expect(complaint({ HOSTED_RETENTION: { "hosted/*": rule } })).toContain(message);
  });
});
