/** What the owner sees while the ledger's object fails, or after it was reset: what is known all the same, and what is missing. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { KEY_LIST } from "../../src/access/stored-keys.ts";
import { Ledger } from "../../src/objects/ledger.ts";
import { pathOf, SECTIONS, type SectionName } from "../../src/web/owner/section.ts";
import { basic, bearer } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { ledgerWithOutages } from "../support/ledger-outage.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const IMAGE = "docker.io/library/demo:latest";
const state = { isOut: false };

const mirror = useMirror({
  ACCESS: "keys",
  ADMIN_KEY,
  LEDGER: ledgerWithOutages(() => state.isOut),
  PUBLIC_SUMMARY: true,
});
let key: string;
beforeEach(async () => {
  state.isOut = false;
  key = await makeKey("alice");
  const { configs, layers } = await mirror.docker.addImage("library/demo", "latest", {
    layers: [patternBytes(1000, 1)],
  });
  for (const { digest } of [...configs, ...layers]) await pull(`blobs/${digest}`);
  await pull("manifests/latest");
});

const owner = (path: string, init: RequestInit = {}) =>
  mirror.request(`/_/${path}`, { ...init, headers: { ...bearer(ADMIN_KEY), ...init.headers } });

async function read(path: string): Promise<Record<string, unknown>> {
  const response = await owner(path);
  expect(response.status).toBe(200);
  return response.json();
}

async function makeKey(name: string): Promise<string> {
  const body = JSON.stringify({ name });
  const init = { method: "POST", body, headers: { "Content-Length": String(body.length) } };
  return String((await owner("keys", init)).json().key);
}

async function pull(path: string): Promise<void> {
  expect((await mirror.request(`/v2/library/demo/${path}`, { headers: basic(key) })).status).toBe(200);
}

const names = async () =>
  ((await read("keys")).keys as { name: string; from: string }[]).map(({ name, from }) => `${name} ${from}`);

describe("while the ledger fails", () => {
  test("status says what is known without it", async () => {
    const before = await read("status");
    expect(before).toMatchObject({ missing: [], keys: 1 });
    expect(before.quotas).not.toBeNull();
    state.isOut = true;
    const { endpoints, upstreams, hosted } = before;
    expect(await read("status")).toMatchObject({
      missing: ["ledger"],
      ...{ access: "keys", keys: 1, quotas: null, endpoints, upstreams, hosted },
    });
  });

  test("images are listed from the store, by tag", async () => {
    const before = await read("images");
    expect(before).toMatchObject({ missing: [], evicted: 0 });
    state.isOut = true;
    const after = await read("images");
    expect(after).toMatchObject({ missing: ["ledger"], evicted: null, bytes: before.bytes });
    expect(after.images).toMatchObject([{ names: [{ name: IMAGE }], isWhole: true }]);
    expect(await read(`images/${IMAGE}`)).toMatchObject({
      missing: ["ledger"],
      entries: [{ isWhole: true }],
    });
  });

  test("statistics say that they are missing, and claim no zeros", async () => {
    expect(await read("stats")).toMatchObject({ missing: [], requests: expect.any(Number) });
    state.isOut = true;
    expect(await read("stats")).toEqual({ missing: ["ledger"] });
  });

  test("metrics leave out what the ledger counts, so that no counter falls, and say that it is down", async () => {
    const metrics = async () => new TextDecoder().decode((await owner("metrics")).bytes);
    expect(await metrics()).toMatch(/^portolan_ledger_up 1$/m);
    state.isOut = true;
    const text = await metrics();
    expect(text).toMatch(/^portolan_ledger_up 0$/m);
    expect(text).toMatch(/^portolan_store_limit_bytes 9500000000$/m);
    expect(text).toMatch(/^portolan_circuit_open\{endpoint="https:\/\/registry-1\.docker\.io\/"\} 0$/m);
    expect(text).toMatch(/^portolan_hosted_repositories 0$/m);
    expect(text).not.toMatch(/portolan_(requests_total|evicted_bytes_total|fills_total|store_bytes)/);
  });

  test("what it alone knows is 503, to be tried again", async () => {
    const paths = ["tags/docker.io/library/demo", "feed", "gone", "released", "recalled"];
    for (const path of [...paths, `pulls/sha256:${"0".repeat(64)}`]) {
      state.isOut = false;
      expect([path, (await owner(path)).status]).toEqual([path, 200]);
      state.isOut = true;
      const { status, headers, json } = await owner(path);
      expect([path, status, headers.get("Retry-After")]).toEqual([path, 503, "5"]);
      expect(json()).toMatchObject({ errors: [{ code: "UNAVAILABLE" }] });
    }
  });

  test("an error of the object itself isn't taken for one of the Worker", async () => {
    const read = vi.spyOn(Ledger.prototype, "recalled").mockRejectedValue(new Error("over quota"));
    expect((await owner("recalled")).status).toBe(503);
    read.mockRestore();
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(mirror.services.recalls, "list").mockRejectedValue(new Error("a fault"));
    expect((await owner("recalled")).status).toBe(500);
  });

  test("access keys are listed as KV has them", async () => {
    state.isOut = true;
    expect(await names()).toEqual(["alice mirror"]);
    await pull("manifests/latest");
  });

  test("the first page is shown without its sums", async () => {
    const front = async () => {
      const response = await mirror.request("/", { headers: { Accept: "text/html" } });
      return `${response.status} ${new TextDecoder().decode(response.bytes)}`;
    };
    state.isOut = true;
    expect(await front()).toMatch(/^200 (?!.*The last 30 days)/s);
    state.isOut = false;
    // What can't be read isn't tried again for each visitor.
    mirror.clock.ahead += 11 * 60_000;
    expect(await front()).toMatch(/^200 .*The last 30 days/s);
  });

  test("the owner's page is shown, and says what isn't there", async () => {
    const signIn = new URLSearchParams({ key: ADMIN_KEY, next: "/_/owner" }).toString();
    const { headers } = await mirror.request("/_/session", {
      method: "POST",
      body: signIn,
      headers: {
        ...{ Accept: "text/html", Origin: "https://mirror.test" },
        "Content-Length": String(signIn.length),
      },
    });
    const Cookie = headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const page = async (section: SectionName) => {
      const response = await mirror.request(pathOf(section), { headers: { Accept: "text/html", Cookie } });
      return `${response.status} ${new TextDecoder().decode(response.bytes)}`;
    };
    for (const section of SECTIONS) expect(await page(section)).not.toContain("can’t be read");
    state.isOut = true;
    for (const section of SECTIONS) expect(await page(section)).toMatch(/^200 /);
    for (const section of ["overview", "store", "tags"] as const)
      expect(await page(section)).toContain("The ledger can’t be read");
    expect(await page("keys")).toContain("alice");
    const form = new URLSearchParams({ action: "recall", digest: `sha256:${"b".repeat(64)}` }).toString();
    const recall = await mirror.request(pathOf("tags"), {
      method: "POST",
      body: form,
      headers: {
        ...{ Accept: "text/html", Origin: "https://mirror.test", Cookie },
        "Content-Length": String(form.length),
      },
    });
    expect(recall.status).toBe(503);
    expect(new TextDecoder().decode(recall.bytes)).toMatch(/That wasn’t done: the mirror&#39;s records/);
  });
});

describe("while the records of hosted repositories fail", () => {
  test("status and metrics give the rest", async () => {
    vi.spyOn(mirror.services, "hostedRecords", "get").mockReturnValue({
      count: () => Promise.reject(new Error("out of order")),
    } as never);
    expect(await read("status")).toMatchObject({ missing: ["hosted"], hosted: null, keys: 1 });
    const text = new TextDecoder().decode((await owner("metrics")).bytes);
    expect(text).toMatch(/^portolan_ledger_up 1$/m);
    expect(text).not.toContain("portolan_hosted");
  });
});

describe("after the ledger was reset", () => {
  const reset = () =>
    runInDurableObject(
      (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER.getByName("ledger"),
      (_, { storage }) => storage.deleteAll(),
    );

  test("access keys that are valid are listed, and can be revoked", async () => {
    await reset();
    expect(await names()).toEqual(["alice mirror"]);
    expect(await read("status")).toMatchObject({ keys: 1 });
    expect((await owner("keys/alice", { method: "DELETE" })).status).toBe(204);
    expect((await mirror.request("/v2/", { headers: basic(key) })).status).toBe(403);
    expect(await names()).toEqual([]);
  });

  test("the next key doesn't end the others", async () => {
    await reset();
    await makeKey("bob");
    expect(await names()).toEqual(["alice mirror", "bob mirror"]);
    mirror.newIsolate();
    await pull("manifests/latest");
  });

  test("a list in KV that is damaged opens nothing, and a new key replaces it", async () => {
    await reset();
    await mirror.bindings.TAGS.put(KEY_LIST, "{}");
    expect(await names()).toEqual([]);
    await makeKey("bob");
    expect(await names()).toEqual(["bob mirror"]);
  });

  test("while KV fails too, no key is changed", async () => {
    await reset();
    const outage = mirror.outage("TAGS", "get");
    expect((await owner("keys/alice", { method: "DELETE" })).status).toBe(503);
    outage.mockRestore();
    expect(await names()).toEqual(["alice mirror"]);
  });
});
