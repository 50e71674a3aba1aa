/** `/_/openapi.json` against the mirror: every route that responds with JSON is in it, and does as it says. */
import { type Schema, Validator } from "@cfworker/json-schema";
import { beforeEach, describe, expect, test } from "vitest";
import { createApp } from "../../src/app.ts";
import openapi from "../../src/ledger/openapi.json" with { type: "json" };
import type { Digest } from "../../src/oci/digest.ts";
import { contentKey } from "../../src/store/store.ts";
import type { TagSighting } from "../../src/store/tag-history.ts";
import { basic, bearer } from "../access/keyed.ts";
import { Pusher } from "../push/support.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const IMAGE = "docker.io/library/demo:latest";
const UNKNOWN = `sha256:${"0".repeat(64)}`;
const DAY = 86_400_000;

/** Pages for browsers, and what they load. */
const PAGES = ["/_/save", "/_/page", "/_/image", "/_/owner", "/_/session", "/_/search"];

const mirror = useMirror({
  ...{ ACCESS: "keys", ADMIN_KEY, KEEP: ["docker.io/library/*"] },
  ...{ COOLDOWN: { "docker.io/library/*": "7d" }, PIN: ["docker.io/library/pinned"] },
});

interface Described {
  parameters?: { name: string; in: string; schema: Schema }[];
  requestBody?: { content: { "application/json": { schema: Schema } } };
  responses: Record<string, { $ref?: string; content?: Record<string, { schema?: Schema }> }>;
}

/** The document as one for which a member that a schema doesn't name is an error. */
const exact = JSON.parse(JSON.stringify(openapi), (_, part) =>
  typeof part?.properties === "object" && part.type === "object"
    ? { additionalProperties: false, ...part }
    : part,
) as typeof openapi;

/** By method and path, as in `GET /_/tags/{image}`. */
const operations = new Map<string, Described>(
  Object.entries(exact.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation as Described] as const,
    ),
  ),
);

function errorsOf(schema: Schema, value: unknown): string[] {
  const whole = { ...schema, components: exact.components };
  const { errors } = new Validator(whole as Schema, "2020-12").validate(value);
  return errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`);
}

/** The schema of a response's JSON; null where it has another body or none. */
function schemaOf(operation: Described, status: number): Schema | null {
  const found = operation.responses[status] ?? operation.responses.default;
  const response = found?.$ref ? exact.components.responses.Error : found;
  const content = response?.content as Record<string, { schema?: Schema }> | undefined;
  return content?.["application/json"]?.schema ?? null;
}

/** Sends a request, and checks what comes back against the document. */
async function send(name: string, path: string, body?: unknown): Promise<MirrorResponse> {
  const operation = operations.get(name);
  if (!operation) throw new Error(`${name} isn't in the document`);
  const [method = ""] = name.split(" ");
  const text = body === undefined ? null : JSON.stringify(body);
  const headers = { ...bearer(ADMIN_KEY), "Content-Length": String(text?.length ?? 0) };
  const response = await mirror.request(`/_/${path}`, { method, headers, body: text });
  const schema = schemaOf(operation, response.status);
  const type = response.headers.get("Content-Type")?.split(";")[0] ?? "";
  const types = Object.keys(operation.responses[response.status]?.content ?? {});
  if (schema) expect([name, type, errorsOf(schema, response.json())]).toEqual([name, "application/json", []]);
  else if (types.length > 0) expect(types).toContain(type);
  else expect([name, response.status, response.bytes.byteLength]).toEqual([name, 204, 0]);
  return response;
}

test("every route is in it but for the pages, and it has no other", () => {
  const general = (path: string) => path.replace(/:\w+(\{[^}]*\})?|\{\w+\}/g, "*");
  const routes = createApp(mirror.services)
    .routes.filter(({ path, method }) => /^\/_\/./.test(path) && method !== "ALL")
    .filter(({ path }) => !PAGES.some((page) => path === page || path.startsWith(`${page}/`)))
    .map(({ method, path }) => `${method} ${general(path)}`);
  const described = [...operations.keys()].map(general).filter((name) => name !== "GET /_/token");
  expect([...new Set(routes)].sort()).toEqual(described.sort());
});

describe("a mirror with content", () => {
  let image: Image;
  let key: string;
  beforeEach(async () => {
    key = String((await send("POST /_/keys", "keys", { name: "alice", push: ["hosted/*"] })).json().key);
    image = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 1)] });
    const { target, configs, layers } = image;
    for (const { digest } of [...configs, ...layers]) await pull(`blobs/${digest}`);
    await pull("manifests/latest");
    await new Pusher(mirror, basic(key)).pushImage("hosted/app", "1.0");
    const digest = target.digest as Digest;
    const at = Date.now() - DAY;
    const named = { digest, mediaType: target.mediaType, size: target.bytes.byteLength };
    const see = (tag: string, seen: TagSighting["named"], at: number) => ({
      name: { upstream: "docker.io", repository: "library/demo", tag, visibility: "public" as const },
      named: seen,
      at,
    });
    await mirror.services.ledger.add(
      {
        traffic: [
          { upstream: "docker.io", kind: "blob", served: "store", status: 200, requests: 1, bytes: 9 },
        ],
        uses: [{ digest, source: "docker.io/library/demo" }],
        pulls: [{ digest, key: "alice" }],
        sightings: [see("latest", named, at), see("old", named, at), see("old", null, at + 1)],
      },
      at,
    );
  });

  async function pull(path: string): Promise<void> {
    expect((await mirror.request(`/v2/library/demo/${path}`, { headers: basic(key) })).status).toBe(200);
  }

  test("responds to every request as it says", async () => {
    const digest = image.target.digest;
    const layer = contentKey("blobs", image.layers[0]?.digest as Digest, "public");
    const tag = { upstream: "docker.io", repository: "library/demo", tag: "old", visibility: "public" };
    const requests: [name: string, path: string, status: number, body?: unknown][] = [
      ["GET /_/health", "health", 200],
      ["GET /_/openapi.json", "openapi.json", 200],
      ["GET /_/status", "status", 200],
      ["GET /_/stats", "stats?hours=48", 200],
      ["GET /_/stats", "stats?hours=0", 400],
      ["GET /_/metrics", "metrics", 200],
      ["GET /_/images", "images", 200],
      ["GET /_/images/{image}", `images/${IMAGE}`, 200],
      ["GET /_/images/{image}", "images/docker.io/library/none:1", 404],
      ["GET /_/tags", "tags", 200],
      ["GET /_/tags/{image}", "tags/docker.io/library/demo", 200],
      ["GET /_/tags/{image}", "tags/docker.io/library/demo:%20", 400],
      ["GET /_/objects", "objects", 200],
      ["GET /_/objects", "objects?cursor=9:", 400],
      ["GET /_/manifests/{digest}", `manifests/${digest}?visibility=public`, 200],
      ["GET /_/manifests/{digest}", `manifests/${digest}?visibility=both`, 400],
      ["GET /_/resolve/{image}", `resolve/${IMAGE}`, 200],
      ["GET /_/pulls/{digest}", `pulls/${digest}`, 200],
      ["GET /_/pulls/{digest}", "pulls/none", 400],
      ["GET /_/feed", "feed", 200],
      ["GET /_/feed", "feed?format=json", 200],
      ["GET /_/feed", "feed?format=rss", 400],
      ["GET /_/gone", "gone", 200],
      ["POST /_/released", "released", 200, { image: IMAGE }],
      ["POST /_/released", "released", 409, { image: "ghcr.io/owner/app:1" }],
      ["GET /_/released", "released", 200],
      ["DELETE /_/released/{image}", `released/${IMAGE}`, 204],
      ["DELETE /_/released/{image}", `released/${IMAGE}`, 404],
      ["POST /_/warm", "warm", 200, { image: IMAGE, platforms: [], cursor: 0 }],
      ["POST /_/recalled", "recalled", 204, { digest: UNKNOWN, reason: "a test" }],
      ["GET /_/recalled", "recalled", 200],
      ["DELETE /_/recalled/{digest}", `recalled/${UNKNOWN}`, 204],
      ["DELETE /_/recalled/{digest}", `recalled/${UNKNOWN}`, 404],
      ["POST /_/pins", "pins", 204, { pattern: "ghcr.io/team/*" }],
      ["POST /_/pins", "pins", 400, { pattern: "alpine" }],
      ["GET /_/pins", "pins", 200],
      ["DELETE /_/pins/{pattern}", "pins/ghcr.io/team/*", 204],
      ["DELETE /_/pins/{pattern}", "pins/ghcr.io/team/*", 404],
      ["DELETE /_/pins/{pattern}", "pins/docker.io/library/pinned", 409],
      ["POST /_/keys", "keys", 201, { name: "bob", allow: ["docker.io/*"], expires: null, rate: 60 }],
      ["POST /_/keys", "keys", 409, { name: "bob" }],
      ["GET /_/keys", "keys", 200],
      ["PUT /_/keys/{name}", "keys/bob", 204, { deny: ["ghcr.io/*"], expires: "2100-01-01T00:00:00Z" }],
      ["POST /_/keys/{name}/rotate", "keys/bob/rotate", 200, {}],
      ["DELETE /_/keys/{name}", "keys/bob", 204],
      ["DELETE /_/keys/{name}", "keys/bob", 404],
      ["GET /_/hosted", "hosted", 200],
      ["GET /_/gc", "gc", 200],
      ["POST /_/gc", "gc", 200],
      ["GET /_/prune", "prune", 200],
      ["POST /_/prune", "prune", 200],
      ["POST /_/rm", "rm", 200, { images: [IMAGE], dryRun: true }],
      ["POST /_/rm", "rm", 404, { images: ["docker.io/library/none:1"] }],
      ["DELETE /_/images/{image}", `images/${IMAGE}`, 200],
      ["POST /_/purge", "purge", 204, { tags: [tag], objects: [layer] }],
    ];
    for (const [name, path, status, body] of requests) {
      const response = await send(name, path, body);
      expect([name, path, response.status]).toEqual([name, path, status]);
      const schema = operations.get(name)?.requestBody?.content["application/json"].schema;
      expect([name, schema ? errorsOf(schema, body) : body]).toEqual([name, schema ? [] : undefined]);
    }
    const token = await mirror.request("/_/token?service=mirror.test", { headers: basic(key) });
    expect(
      errorsOf(schemaOf(operations.get("GET /_/token") as Described, 200) as Schema, token.json()),
    ).toEqual([]);
    const sent = new Set([...requests.map(([name]) => name), "GET /_/token"]);
    expect([...operations.keys()].filter((name) => !sent.has(name))).toEqual([]);
  });

  test("lists have entries of which it speaks", async () => {
    const entries = async (name: string, path: string) => (await send(name, path)).json().entries;
    for (const path of ["tags", "objects", "gone", "hosted"]) {
      expect([path, await entries(`GET /_/${path}`, path)]).toEqual([
        path,
        expect.arrayContaining([expect.anything()]),
      ]);
    }
    await send("POST /_/released", "released", { image: IMAGE });
    expect(await entries("GET /_/released", "released")).toHaveLength(1);
    expect(await entries("GET /_/tags/{image}", "tags/docker.io/library/demo")).toHaveLength(2);
    expect((await send("GET /_/pulls/{digest}", `pulls/${image.target.digest}`)).json()).toMatchObject({
      pulls: [{ key: "alice" }],
      tags: [{ tag: "latest" }, { tag: "old" }],
    });
  });
});

test.each<[string, string, unknown]>([
  ["POST /_/rm", "rm", { images: [] }],
  ["POST /_/purge", "purge", { objects: [1] }],
  ["POST /_/warm", "warm", { image: IMAGE, platforms: ["Linux"] }],
  ["POST /_/recalled", "recalled", { digest: "sha256:0" }],
  ["POST /_/recalled", "recalled", { digest: UNKNOWN, reason: "two\nlines" }],
  ["POST /_/released", "released", { images: [IMAGE] }],
  ["POST /_/keys", "keys", { name: "bob", rate: 0 }],
  ["PUT /_/keys/{name}", "keys/alice", { name: "bob" }],
  ["POST /_/keys/{name}/rotate", "keys/alice/rotate", { expires: 1 }],
])("what it forbids is refused: %s, %s, %j", async (name, path, body) => {
  const schema = operations.get(name)?.requestBody?.content["application/json"].schema as Schema;
  expect(errorsOf(schema, body)).not.toEqual([]);
  expect((await send(name, path, body)).status).toBe(400);
});

test("it is shown to the owner alone", async () => {
  expect((await mirror.request("/_/openapi.json")).status).toBe(401);
  const shown = await mirror.request("/_/openapi.json", { headers: bearer(ADMIN_KEY) });
  expect([shown.status, shown.json()]).toEqual([200, openapi]);
});
