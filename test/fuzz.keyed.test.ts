// Whole requests at random to a mirror behind keys: content for who holds a key alone, and no key beyond the mirror.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BlobFill } from "../src/index.ts";
import { basic, bearer, EXPIRED, KEY, KEYED, NARROW, UNKNOWN } from "./access/keyed.ts";
import { type Image, patternBytes } from "./support/fake-registry.ts";
import { TIMING, useMirror } from "./support/mirror.ts";
import {
  buildable,
  expectFair,
  FOR_LISTINGS,
  FOR_TOKENS,
  header,
  isCrossSite,
  method,
  mostly,
  odd,
  path,
  query,
  SENT_UPSTREAM,
  UNREACHED,
  UPSTREAMS,
  word,
} from "./support/requests.ts";

const OWNER = { username: "owner", password: "hunter2" };
const ALICE = { username: "alice", password: "wonderland" };
const LOGIN = basic(ALICE.password, ALICE.username).Authorization;
/** What pages of other sites may lead to. */
const PAGES = /^\/(robots\.txt|_\/health)?$/;
/** What is valid, and what was. */
const KEYS = [KEY, NARROW, EXPIRED];

const hub = useMirror({
  ...KEYED,
  UPSTREAMS: { ...UPSTREAMS, "ghcr.io": { login: true } },
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
  // Leases of fills that failed aren't sat out.
  TIMING: { ...TIMING, fillPatience: 100 },
});
let logged: string[] = [];
let errors: string[] = [];

beforeEach(() => {
  logged = [];
  errors = [];
  const keep =
    (kept: string[]) =>
    (...words: unknown[]) =>
      void kept.push(words.join(" "));
  for (const name of ["log", "warn"] as const) vi.spyOn(console, name).mockImplementation(keep(logged));
  vi.spyOn(console, "error").mockImplementation(keep(errors));
  const real = globalThis.setTimeout;
  const soon = (run: () => void, milliseconds = 0) => real(run, milliseconds <= 250 ? 0 : milliseconds);
  vi.stubGlobal("setTimeout", soon);
  // A fill in the background asks upstream for an earlier request, while a later one is judged by what upstream was requested.
  vi.spyOn(BlobFill.prototype, "alarm").mockResolvedValue();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const key = fc.constantFrom(KEY, KEY, KEY, NARROW, NARROW, EXPIRED, UNKNOWN, KEY.toUpperCase(), KEY.slice(1));
const host = fc.oneof(
  word("mirror.test mirror.example.com docker.example.com ghcr.example.com other.test example.com"),
  fc
    .tuple(
      word("docker ghcr ghcr docker-io x - a.ghcr ghcr. evil xn--a docker-"),
      key,
      word("example.com example.com example.com example.com. other.test a.example.com"),
    )
    .map(([label, each, domain]) => `${label}-${each}.${domain}`),
);
/** Before the path, or anywhere in it. */
const place = mostly(
  fc.oneof(
    fc.constant("KEYLESS"),
    key.map((each) => `/${each}PATH`),
  ),
  fc.oneof(
    key.map((each) => `//${each}PATH`),
    key.map((each) => `/${each}/PATH`),
    key.map((each) => `/v2/${each}PATH`),
    key.map((each) => `/docker.io/${each}PATH`),
    key.map((each) => `PATH/${each}`),
    key.map((each) => `PATH?ns=${each}`),
    key.map((each) => `/%6b${each.slice(1)}PATH`),
    fc.tuple(key, key).map(([one, other]) => `/${one}/${other}PATH`),
  ),
);
const target = fc.oneof(
  { weight: 4, arbitrary: path },
  { weight: 1, arbitrary: word("/v2/owner/secret/manifests/latest /v2/owner/secret/blobs/SECRET") },
  {
    weight: 1,
    arbitrary: word("/v2/alice/secret/manifests/latest /v2/alpine/blobs/SECRET /v2/ /ghcr.io/v2/"),
  },
  {
    weight: 1,
    arbitrary: word("/_/token /_/token/ //_/token /_%2Ftoken /%5F/token /v2/_/token /_/health /"),
  },
);
const scope = fc
  .array(
    fc.oneof(
      word(
        "scope=repository:owner/secret:pull scope=repository:a:push,pull scope=repository(x):a/b:* scope=:::",
      ),
      word("service=mirror.test service= account=x offline_token=true client_id=docker"),
      odd.map((text) => `scope=${encodeURIComponent(`repository:${text.toWellFormed()}:pull`)}`),
    ),
    { maxLength: 3 },
  )
  .map((parts) => parts.join("&"));
const authorization = fc.oneof(
  { weight: 3, arbitrary: fc.constant(null) },
  { weight: 4, arbitrary: key.map((each) => basic(each).Authorization) },
  { weight: 2, arbitrary: key.map((each) => bearer(each).Authorization) },
  { weight: 1, arbitrary: key.map((each) => basic("", each).Authorization) },
  { weight: 2, arbitrary: fc.constantFrom(LOGIN, "Bearer TOKEN", "Bearer RENEWAL", "Bearer NARROWED") },
  {
    weight: 2,
    arbitrary: word(
      "Basic Basic: Bearer Bearer. bearer=x Basic= Bearer,x Digest,x Bearer%20x .. eyJhbGciOiJub25lIn0.e30. Negotiate",
    ).map((text) => text.replace(/[,:]/, " ")),
  },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 30 }).map((text) => `Bearer ${text}`),
  },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 20 })
      .map((bytes) => `Basic ${btoa(String.fromCharCode(...bytes))}`),
  },
);
const form = fc.record(
  {
    grant_type: word("password password refresh_token client_credentials"),
    username: word("x alice <token>"),
    password: fc.oneof(key, word("wonderland TOKEN RENEWAL")),
    refresh_token: fc.oneof(key, word("TOKEN RENEWAL NARROWED x")),
    access_type: word("offline online"),
    scope: word("repository:library/alpine:pull x"),
  },
  { requiredKeys: [] },
);
const request = fc.record({
  method,
  host,
  place,
  target,
  query: fc.oneof(
    query,
    scope.map((text) => text && `?${text}`),
  ),
  headers: fc.array(header, { maxLength: 2 }),
  login: authorization,
  form: fc.option(form, { freq: 2 }),
});

test("whatever is requested with whatever credential, content is served to holders of keys only, and no key is logged, revealed, stored or sent upstream", async () => {
  hub.docker.settings.credentials = [OWNER];
  hub.ghcr.settings.credentials = [ALICE];
  const image = await hub.docker.addImage("library/alpine", "latest", { layers: [patternBytes(3000)] });
  await hub.ghcr.addImage("owner/image", "latest");
  const secret = await hub.docker.addImage("owner/secret", "latest", { layers: [patternBytes(4000, 7)] });
  hub.docker.setVisibility("owner/secret", "private");
  await hub.ghcr.addImage("alice/secret", "latest", { layers: [patternBytes(5000, 8)] });
  hub.ghcr.setVisibility("alice/secret", "private");
  const tokens = await tokensOf(image, secret);
  const real = (text: string) =>
    Object.entries(tokens).reduce((done, [name, value]) => done.replaceAll(name, value), text);

  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(request, async ({ method, host, place, target, query, headers, login, form }) => {
      const sent = place === "KEYLESS" ? target : place.replace("PATH", () => target);
      const requested = real(sent + (sent.includes("?") ? query.replace("?", "&") : query));
      const given = headers.map(([name, value]): [string, string] => [name, real(value)]);
      if (login !== null) given.push(["Authorization", real(login)]);
      const init = buildable(`https://${host}${requested}`, method, given);
      if (!init) return;
      if (form && method === "POST") {
        init.body = real(new URLSearchParams(form).toString());
      }
      const before = [hub.docker.requests.length, hub.ghcr.requests.length] as const;
      const response = await hub.request(requested, { ...init, host });
      const text = new TextDecoder().decode(response.bytes);
      seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
      const upstream = [...hub.docker.requests.slice(before[0]), ...hub.ghcr.requests.slice(before[1])];

      expect(errors).toEqual([]);
      expect(hub.network.strays.filter((stray) => !UNREACHED.test(stray))).toEqual([]);
      expectFair(response, method, requested);

      const isContent = response.headers.has("Docker-Content-Digest") || response.headers.has("Cache-Status");
      const shown = [
        new URL(`https://${host}${requested}`).host,
        requested,
        real(login ?? ""),
        ...decodedIn(real(login ?? "")),
      ].join(" ");
      const holds = (each: string, ...tokens: string[]) =>
        [each, ...tokens].some((text) => shown.includes(text));
      const isAll = holds(KEY, real("TOKEN"));
      const isNarrow = holds(NARROW, real("NARROWED"));
      if (isCrossSite(given)) {
        expect([isContent, upstream]).toEqual([false, []]);
        expect(response.status < 300 ? new URL(`https://${host}${requested}`).pathname : "/").toMatch(PAGES);
      }
      if (!isAll && !isNarrow) {
        expect([isContent, upstream]).toEqual([false, []]);
      } else if (!isAll) {
        for (const { repository } of upstream) expect(repository ?? "library/").toMatch(/^library\//);
        expect(text).not.toContain("owner/secret:");
      }
      if (isContent) {
        expect(response.headers.get("Cache-Control")).toMatch(/^(private|no-store)/);
      }
      for (const each of upstream) {
        expect(Object.keys(each.headers).filter((name) => !SENT_UPSTREAM.includes(name))).toEqual([]);
        expectOwnLogin(each.host, each.headers.authorization);
        if (each.host !== "ghcr.io" || each.kind !== "other") {
          const names = [...new URLSearchParams(each.query).keys()];
          const allowed = each.kind === "token" ? FOR_TOKENS : FOR_LISTINGS;
          expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
        }
      }
      const beyond = JSON.stringify([upstream, logged.splice(0), text]);
      for (const each of KEYS) {
        for (const form of [each, basic(each).Authorization, basic("", each).Authorization]) {
          expect(beyond).not.toContain(form);
        }
      }
    }),
    { numRuns: 800 },
  );
  const kept = JSON.stringify([await hub.stored(), await hub.bindings.TAGS.list()]);
  for (const each of KEYS) expect(kept).not.toContain(each);
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 405]));
});

/** Words of the requests above, and what they stand for. */
async function tokensOf(image: Image, secret: Image): Promise<Record<string, string>> {
  const of = async (each: string) =>
    (await hub.request("/_/token?offline_token=true", { headers: basic(each) })).json();
  const all = await of(KEY);
  return {
    HELD: image.target.digest,
    LAYER: image.layers[0]?.digest ?? "",
    SECRET: secret.layers[0]?.digest ?? "",
    TOKEN: String(all.token),
    RENEWAL: String(all.refresh_token),
    NARROWED: String((await of(NARROW)).token),
  };
}

/** What upstream is shown: its own tokens, the operator's login to get them with, or a user's own where that is for it. */
function expectOwnLogin(host: string, authorization: string | undefined): void {
  if (authorization === undefined || /^Bearer token-/.test(authorization)) return;
  if (host === "auth.docker.io")
    expect(authorization).toBe(basic(OWNER.password, OWNER.username).Authorization);
  else expect([host, authorization]).not.toEqual([host, basic(OWNER.password, OWNER.username).Authorization]);
  if (host !== "auth.docker.io") expect(host).toBe("ghcr.io");
}

/** What a Basic login says. */
function decodedIn(authorization: string): string[] {
  try {
    return [atob(authorization.replace(/^Basic /, ""))];
  } catch {
    return [];
  }
}
