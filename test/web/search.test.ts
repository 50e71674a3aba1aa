/** Docker Hub's search: on the page and for `docker search`, remembered, and honest when it isn't to be had. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { type MirrorResponse, type TestMirror, useMirror } from "../support/mirror.ts";

const UNPRINTABLE = /[^\P{Cc}\n]|[\p{Zl}\p{Zp}]/u;
const RESULTS = [
  {
    name: "nginx",
    description: "Official \u001b[31mbuild\u2028 <b>of</b> Nginx.",
    star_count: 20900,
    is_official: true,
  },
  { name: "bitnami/nginx", description: null, star_count: 200, is_official: false },
  { name: "../evil", description: "no repository", star_count: 1, is_official: false },
];

interface Hub {
  /** Requests to Docker Hub's search, and those to relays. */
  requests: Request[];
  respond: (url: URL) => Response | Promise<Response>;
}

/** Puts Docker Hub's search beside the fake registries. */
function useHub(mirror: TestMirror): Hub {
  const hub: Hub = { requests: [], respond: () => Response.json({ results: RESULTS }) };
  beforeEach(() => {
    hub.requests = [];
    hub.respond = () => Response.json({ results: RESULTS });
    const others = mirror.network.fetch;
    vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
      const request = new Request(input, init);
      const url = new URL(request.url);
      if (url.pathname !== "/v1/search") return others(input as Request, init);
      hub.requests.push(request);
      return hub.respond(url);
    });
    mirror.newIsolate();
  });
  return hub;
}

function text({ bytes }: MirrorResponse): string {
  return new TextDecoder().decode(bytes);
}

describe("on an open mirror", () => {
  const mirror = useMirror();
  const hub = useHub(mirror);
  const page = (query: string) =>
    mirror.request(`/_/search?${new URLSearchParams({ q: query })}`, { headers: { Accept: "text/html" } });
  const search = (query: string) => mirror.request(`/v1/search?${query}`);

  test("the page shows what was found, as text, with the way to each image", async () => {
    const html = text(await page("nginx"));
    expect(html).toContain('href="/_/image/docker.io/library/nginx"');
    expect(html).toContain('href="/_/image/docker.io/bitnami/nginx"');
    expect(html).toContain("&lt;b&gt;of&lt;/b&gt; Nginx.");
    expect(html).not.toMatch(UNPRINTABLE);
    expect(html).toContain("20,900");
    expect(html).not.toContain("evil");
  });

  test("docker search gets it in its own form, no more than it wants", async () => {
    const response = await search("q=nginx&n=1");
    expect([response.status, response.json()]).toEqual([
      200,
      {
        num_pages: 1,
        num_results: 1,
        page: 1,
        page_size: 1,
        query: "nginx",
        results: [
          {
            name: "nginx",
            description: expect.not.stringMatching(UNPRINTABLE),
            star_count: 20900,
            is_official: true,
            is_automated: false,
          },
        ],
      },
    ]);
  });

  test("is requested once for hours, whatever the spelling, in further isolates too", async () => {
    for (const query of ["nginx", " NGINX ", "Nginx"]) await page(query);
    mirror.newIsolate();
    await search("q=nginx");
    mirror.clock.ahead += 5 * 3600_000;
    await page("nginx");
    expect(hub.requests.map(({ url }) => url)).toEqual(["https://index.docker.io/v1/search?q=nginx&n=50"]);
    mirror.clock.ahead += 2 * 3600_000;
    await page("nginx");
    expect(hub.requests).toHaveLength(2);
  });

  test("sends nothing of the visitor's", async () => {
    await mirror.request("/v1/search?q=nginx", {
      headers: { ...basic("visitor's password"), Cookie: "a=b", "User-Agent": "visitor" },
    });
    const [request] = hub.requests;
    for (const name of ["Authorization", "Cookie", "User-Agent"])
      expect(request?.headers.get(name)).toBeNull();
  });

  test("goes on after a query that Docker Hub refuses", async () => {
    hub.respond = ({ searchParams }) =>
      searchParams.get("q") === "refused"
        ? new Response(null, { status: 400 })
        : Response.json({ results: [] });
    expect((await search("q=refused")).status).toBe(503);
    expect((await search("q=nginx")).status).toBe(200);
  });

  test("isn't requested for nothing", async () => {
    for (const query of ["", "   ", "\u0000"]) expect((await page(query)).status).toBe(200);
    expect(hub.requests).toEqual([]);
  });

  test.each([
    [
      "limited",
      () => new Response(null, { status: 429, headers: { "Retry-After": "120" } }),
      429,
      "limits searches",
    ],
    ["down", () => new Response(null, { status: 502 }), 503, "can’t be reached"],
    [
      "redirecting elsewhere",
      () => new Response(null, { status: 302, headers: { Location: "http://10.0.0.1/" } }),
      503,
      "can’t be reached",
    ],
    ["saying something else", () => Response.json({ results: "none" }), 503, "can’t be reached"],
    ["endless", () => new Response("x".repeat(600 * 1024)), 503, "can’t be reached"],
    ["out of reach", () => Promise.reject(new TypeError("network")), 503, "can’t be reached"],
  ] as const)(
    "while Docker Hub is %s, says so, offers the exact name, and asks no more for a while",
    async (_, respond, status, words) => {
      hub.respond = respond;
      const html = text(await page("nginx"));
      expect(html).toContain(words);
      expect(html).toContain('href="/_/image/docker.io/library/nginx"');
      expect((await search("q=other")).status).toBe(status);
      expect(hub.requests).toHaveLength(1);
      hub.respond = () => Response.json({ results: RESULTS });
      mirror.clock.ahead += 121_000;
      expect((await search("q=other")).status).toBe(200);
    },
  );

  test("shows what was found before while Docker Hub fails, and since when it is known", async () => {
    await page("nginx");
    mirror.clock.ahead += 24 * 3600_000;
    hub.respond = () => new Response(null, { status: 500 });
    const html = text(await page("nginx"));
    expect(html).toContain("bitnami/nginx");
    expect(html).toContain("What was found at ");
    expect((await search("q=nginx")).status).toBe(200);
  });

  test("requests no more than a number of searches a minute", async () => {
    // Time would bring further searches.
    const now = Date.now();
    vi.spyOn(Date, "now").mockReturnValue(now);
    for (let at = 0; at < 60; at++) expect((await search(`q=word${at}`)).status).toBe(200);
    expect((await search("q=another")).status).toBe(429);
    expect(hub.requests).toHaveLength(60);
    expect((await search("q=word1")).status).toBe(200);
  });
});

describe("on a keyed mirror", () => {
  const mirror = useMirror(KEYED);
  const hub = useHub(mirror);

  test("takes a key", async () => {
    const refused = await mirror.request("/v1/search?q=nginx");
    expect([refused.status, refused.headers.get("WWW-Authenticate")]).toEqual([
      401,
      expect.stringMatching(/^Bearer /),
    ]);
    const page = await mirror.request("/_/search?q=nginx", { headers: { Accept: "text/html" } });
    expect([page.status, page.headers.get("Location")]).toEqual([
      303,
      "/_/session?next=%2F_%2Fsearch%3Fq%3Dnginx",
    ]);
    expect(hub.requests).toEqual([]);
    expect((await mirror.request("/v1/search?q=nginx", { headers: basic(KEY) })).status).toBe(200);
  });

  test.each(["/_/search", "/v1/search"])("%s sends no access key to Docker Hub", async (path) => {
    const query = new URLSearchParams({ q: KEY });
    const response = await mirror.request(`${path}?${query}`, { headers: basic(KEY) });
    expect(response.status).toBe(404);
    expect(hub.requests).toEqual([]);
  });

  test("sends clients for a token where a pull would, so that no other host gets their key", async () => {
    const headers = { "X-Forwarded-Proto": "https" };
    const [search, pull] = [
      await mirror.request("/v1/search?q=nginx", { headers }),
      await mirror.request("/v2/", { headers }),
    ];
    expect(pull.headers.get("WWW-Authenticate")).toMatch(/^Bearer /);
    expect(search.headers.get("WWW-Authenticate")).toBe(pull.headers.get("WWW-Authenticate"));
  });
});

describe("with a relay", () => {
  const RELAY_KEY = "r".repeat(32);
  const mirror = useMirror({
    RELAYS: [{ url: "https://relay.test", upstreams: ["docker.io"], when: "limited" }],
    RELAY_KEYS: { "relay.test": RELAY_KEY },
  });
  const hub = useHub(mirror);

  test("searches by it when Docker Hub limits requests, with its key for it alone", async () => {
    hub.respond = ({ host }) =>
      host === "relay.test" ? Response.json({ results: RESULTS }) : new Response(null, { status: 429 });
    expect((await mirror.request("/v1/search?q=nginx")).status).toBe(200);
    expect(hub.requests.map(({ url }) => new URL(url).host)).toEqual(["index.docker.io", "relay.test"]);
    expect(hub.requests.map(({ headers }) => headers.get("Authorization"))).toEqual([
      null,
      `Basic ${btoa(`portolan:${RELAY_KEY}`)}`,
    ]);
    expect(hub.requests[1]?.headers.get("Via")).toBe(mirror.services.via);
  });
});
