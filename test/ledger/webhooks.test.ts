/** Webhooks: what is sent, how it is signed, and that no failure of theirs is anyone else's. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import { Webhooks } from "../../src/ledger/webhooks.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import type { TagMove } from "../../src/store/tag-history.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const HOOK = new URL("https://hooks.example.com/T000/secret-path");
const AT = Date.UTC(2026, 10, 17);
const digest = (hex: string) => `sha256:${hex.repeat(64)}` as Digest;
const move: TagMove = {
  ...{ id: 7, upstream: "docker.io", repository: "library/demo", tag: "latest", visibility: "public" },
  ...{ at: AT, digest: digest("a"), before: digest("b") },
};

/** @param responses statuses in turn; 0 for a lost connection. The last one is repeated. */
function createScene(responses: number[], secret: Uint8Array<ArrayBuffer> | null = null) {
  const sent: { url: string; headers: Headers; body: string; redirect: string | undefined }[] = [];
  const work: Promise<unknown>[] = [];
  const webhooks = new Webhooks({
    urls: [HOOK],
    secret,
    now: () => AT,
    pauses: [1, 1],
    gather: 1,
    fetch: async (input, init) => {
      sent.push({
        url: String(input),
        headers: new Headers(init?.headers),
        body: String(init?.body),
        redirect: init?.redirect,
      });
      const status = responses[Math.min(sent.length, responses.length) - 1] ?? 200;
      if (status === 0) throw new Error("connection lost to https://hooks.example.com/T000/secret-path");
      return new Response(null, { status });
    },
  });
  const announce = async (moves: readonly TagMove[]) => {
    webhooks.announce(moves, (each) => work.push(each));
    await Promise.all(work);
  };
  return { sent, announce };
}

describe("a webhook", () => {
  test("gets all moves of public tags in one message, and none of private ones", async () => {
    const { sent, announce } = createScene([204]);
    await announce([
      move,
      { ...move, id: 8, digest: null },
      { ...move, id: 9, visibility: "private", tag: "hidden" },
    ]);
    expect(sent).toHaveLength(1);
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual({
      type: "tag.moved",
      timestamp: "2026-11-17T00:00:00.000Z",
      data: {
        moves: [digest("a"), null].map((named) => ({
          ...{ image: "docker.io/library/demo:latest", digest: named, before: digest("b") },
          at: "2026-11-17T00:00:00.000Z",
        })),
        more: 0,
      },
    });
    expect(sent[0]?.headers.get("webhook-signature")).toBeNull();
    await announce([{ ...move, visibility: "private" }]);
    expect(sent).toHaveLength(1);
  });

  test("gets what moves within a few seconds in one message, and of a flood the first hundred", async () => {
    const { sent, announce } = createScene([204]);
    await Promise.all(Array.from({ length: 130 }, (_, id) => announce([{ ...move, id }])));
    expect(sent).toHaveLength(1);
    const { data } = JSON.parse(sent[0]?.body ?? "");
    expect([data.moves.length, data.more]).toEqual([100, 30]);
  });

  test("is signed with the secret as Standard Webhooks says", async () => {
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const { sent, announce } = createScene([200], secret);
    await announce([move]);
    const [{ headers, body } = { headers: new Headers(), body: "" }] = sent;
    const [version, signed = ""] = (headers.get("webhook-signature") ?? "").split(",");
    const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, [
      "verify",
    ]);
    const bytes = Uint8Array.from(atob(signed), (character) => character.charCodeAt(0));
    const content = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
    expect(version).toBe("v1");
    expect(headers.get("webhook-timestamp")).toBe(String(AT / 1000));
    expect(await crypto.subtle.verify("HMAC", key, bytes, new TextEncoder().encode(content))).toBe(true);
    expect(await crypto.subtle.verify("HMAC", key, bytes, new TextEncoder().encode(`${content} `))).toBe(
      false,
    );
  });

  test.each([[[500, 0, 200]], [[0, 200]], [[429, 200]]])(
    "is tried again, as the same message: %o",
    async (responses) => {
      const { sent, announce } = createScene(responses);
      await announce([move]);
      expect(sent).toHaveLength(responses.length);
      expect(new Set(sent.map(({ headers }) => headers.get("webhook-id"))).size).toBe(1);
    },
  );

  test.each([[[500]], [[0]], [[302]]])(
    "that fails is given up, and only its host is logged: %o",
    async (responses) => {
      const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
      onTestFinished(() => warn.mockRestore());
      const { sent, announce } = createScene(responses);
      await announce([move]);
      expect(sent).toHaveLength(3);
      expect(sent.every(({ redirect }) => redirect === "manual")).toBe(true);
      expect(warn).toHaveBeenCalledExactlyOnceWith(
        expect.stringContaining("the webhook at hooks.example.com wasn't delivered"),
      );
      expect(String(warn.mock.calls)).not.toContain("secret-path");
    },
  );
});

test.each([
  "http://hooks.example.com/",
  "https://127.0.0.1/",
  "https://[::1]/",
  "https://10.0.0.1/",
  "https://169.254.169.254/latest/",
  "https://hooks.internal/",
  "https://localhost/",
  "https://user:password@hooks.example.com/",
  "hooks.example.com",
  "file:///etc/passwd",
])("%s is no webhook, and isn't repeated in the message", (url) => {
  const read = () => readConfig({ WEBHOOKS: [url] });
  expect(read).toThrow(ConfigError);
  expect(read).not.toThrow(url);
});

test.each(["whsec_", "whsec_c2hvcnQ=", "x".repeat(40), `whsec_${"!".repeat(40)}`])(
  "%s is no secret",
  (WEBHOOK_SECRET) => {
    expect(() => readConfig({ WEBHOOK_SECRET })).toThrow(ConfigError);
  },
);

describe("a mirror with a webhook", () => {
  const mirror = useMirror({ WEBHOOKS: [HOOK.href], WEBHOOK_SECRET: `whsec_${btoa("k".repeat(32))}` });
  const PATIENCE = { timeout: 30_000 };
  let bodies: string[];
  let respond: () => Promise<Response>;
  beforeEach(() => {
    bodies = [];
    respond = async () => new Response(null, { status: 204 });
    const { fetch } = mirror.network;
    vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
      const url = input instanceof Request ? input.url : String(input);
      if (url !== HOOK.href) return fetch(input as never, init as never);
      bodies.push(String(init?.body));
      return respond();
    });
    const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
    mirror.services.traffic = new TrafficRecorder(
      () => LEDGER.getByName("ledger"),
      () => Date.now(),
      1,
    );
  });

  const pull = async () => (await mirror.request("/v2/library/demo/manifests/latest")).status;
  const publish = (seed: number) =>
    mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, seed)] });

  const sendAtOnce = (): void => {
    const { webhooks } = mirror.services.config;
    const options = { ...webhooks, now: () => Date.now(), pauses: [], gather: 1 };
    mirror.services.webhooks = new Webhooks({ ...options, fetch: (input, init) => fetch(input, init) });
  };

  test("announces a move, and no first sight", async () => {
    sendAtOnce();
    await publish(1);
    await pull();
    mirror.clock.ahead += 3_600_000;
    const { target } = await publish(2);
    expect(await pull()).toBe(200);
    await vi.waitFor(() => expect(bodies).toHaveLength(1), PATIENCE);
    expect(bodies[0]).toContain(target.digest);
  });

  test("pulls while its webhook fails", async () => {
    respond = async () => {
      throw new Error("down");
    };
    sendAtOnce();
    await publish(1);
    await pull();
    mirror.clock.ahead += 3_600_000;
    const { target } = await publish(2);
    const { status, headers } = await mirror.request("/v2/library/demo/manifests/latest");
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, target.digest]);
    await vi.waitFor(() => expect(bodies.length).toBeGreaterThan(0), PATIENCE);
  });
});
