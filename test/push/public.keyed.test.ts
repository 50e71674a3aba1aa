/** HOSTED_PUBLIC on a keyed mirror: what anyone may pull without a key, and that nothing else comes with it. */
import { beforeEach, describe, expect, test } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import { OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import { basic, bearer, KEYED } from "../access/keyed.ts";
import { useMirror } from "../support/mirror.ts";
import { descriptor, encode, imageManifest, type Pushed, Pusher } from "./support.ts";

const CI = "c".repeat(32);
const NARROW = "n".repeat(32);

const mirror = useMirror({
  ...KEYED,
  HOSTED_PUBLIC: ["hosted/public/*"],
  ACCESS_KEYS: JSON.stringify([
    { name: "ci", hash: await hashKey(CI), push: ["hosted/*"], delete: ["hosted/*"] },
    { name: "narrow", hash: await hashKey(NARROW), allow: ["docker.io/*"], push: ["hosted/public/*"] },
  ]),
});
const PUBLIC = "/v2/hosted/public/app";
const PRIVATE = "/v2/hosted/private/app";
const REALM = 'Bearer realm="https://mirror.test/_/token",service="mirror.test"';

let ci: Pusher;
let anonymous: Pusher;
let open: Pushed & { config: Pushed; layer: Pushed };
let secret: Pushed & { config: Pushed; layer: Pushed };

beforeEach(async () => {
  ci = new Pusher(mirror, basic(CI));
  anonymous = new Pusher(mirror);
  open = await ci.pushImage("hosted/public/app", "1.0", "open");
  secret = await ci.pushImage("hosted/private/app", "secret-tag", "secret");
});

async function pushReferrer(repository: string, subject: Pushed, type: string): Promise<void> {
  const config = await ci.pushBlob(repository, encode({}));
  const manifest = imageManifest(config, [], {
    subject: descriptor(subject, OCI_MANIFEST),
    artifactType: type,
  });
  expect((await ci.putManifest(repository, type.replace("/", "-"), manifest)).status).toBe(201);
}

describe("without a key, a public repository", () => {
  test("is pulled from: manifests, blobs, ranges, tags and referrers", async () => {
    await pushReferrer("hosted/public/app", open, "application/vnd.a");
    const byTag = await anonymous.send("GET", `${PUBLIC}/manifests/1.0`);
    expect([byTag.status, byTag.bytes]).toEqual([200, open.bytes]);
    expect((await anonymous.send("HEAD", `${PUBLIC}/manifests/${open.digest}`)).status).toBe(200);
    const blob = await anonymous.send("GET", `${PUBLIC}/blobs/${open.layer.digest}`);
    expect([blob.status, blob.bytes]).toEqual([200, open.layer.bytes]);
    expect(blob.headers.get("Cache-Control")).toContain("public");
    const range = await anonymous.send("GET", `${PUBLIC}/blobs/${open.layer.digest}`, {
      headers: { Range: "bytes=2-4" },
    });
    expect([range.status, range.bytes]).toEqual([206, open.layer.bytes.slice(2, 5)]);
    expect((await anonymous.send("GET", `${PUBLIC}/tags/list`)).json().tags).toEqual([
      "1.0",
      "application-vnd.a",
    ]);
    const { manifests } = (await anonymous.send("GET", `${PUBLIC}/referrers/${open.digest}`)).json();
    expect(manifests).toHaveLength(1);
  });

  test("is pulled from on the registry's own host, and in the prefix form", async () => {
    const atHost = (path: string) => mirror.request(path, { host: "registry.example.com" });
    expect((await atHost("/v2/public/app/manifests/1.0")).status).toBe(200);
    expect((await anonymous.send("GET", "/hosted/v2/public/app/manifests/1.0")).status).toBe(200);
    expect((await atHost("/v2/private/app/manifests/secret-tag")).status).toBe(401);
    expect((await atHost("/v2/hosted/public/app/manifests/1.0")).status).toBe(401);
  });

  test("is pulled from with a credential that isn't valid, or doesn't open it", async () => {
    for (const headers of [basic("x".repeat(32)), bearer("stale"), basic(NARROW)]) {
      const response = await new Pusher(mirror, headers).send("GET", `${PUBLIC}/manifests/1.0`);
      expect(response.status).toBe(200);
    }
  });

  test("has nothing of what isn't there", async () => {
    for (const path of [`${PUBLIC}/manifests/none`, "/v2/hosted/public/none/tags/list"]) {
      expect((await anonymous.send("GET", path)).status, path).toBe(404);
    }
  });

  test("gives no content of another repository, by whatever digest, tag or subject", async () => {
    await pushReferrer("hosted/private/app", open, "application/vnd.private");
    for (const path of [
      `${PUBLIC}/blobs/${secret.layer.digest}`,
      `${PUBLIC}/manifests/${secret.digest}`,
      `${PUBLIC}/manifests/secret-tag`,
    ]) {
      for (const method of ["GET", "HEAD"]) {
        expect((await anonymous.send(method, path)).status, `${method} ${path}`).toBe(404);
      }
      expect((await anonymous.send("GET", path, { headers: { Range: "bytes=0-3" } })).status).toBe(404);
    }
    const referrers = await anonymous.send("GET", `${PUBLIC}/referrers/${open.digest}`);
    expect(referrers.json().manifests).toEqual([]);
  });

  test("takes no push and no deletion, and shows no uploads", async () => {
    const upload = await ci.startUpload("hosted/public/app");
    for (const [method, path] of [
      ["POST", `${PUBLIC}/blobs/uploads/`],
      ["POST", `${PUBLIC}/blobs/uploads/?mount=${secret.layer.digest}&from=hosted/private/app`],
      ["POST", `${PUBLIC}/blobs/uploads/?digest=${open.layer.digest}`],
      ["GET", `${PUBLIC}/blobs/uploads/`],
      ["GET", upload],
      ["HEAD", upload],
      ["PATCH", upload],
      ["PUT", `${upload}?digest=${open.layer.digest}`],
      ["DELETE", upload],
      ["PUT", `${PUBLIC}/manifests/1.0`],
      ["DELETE", `${PUBLIC}/manifests/1.0`],
      ["DELETE", `${PUBLIC}/blobs/${open.layer.digest}`],
      ["OPTIONS", `${PUBLIC}/manifests/1.0`],
    ] as const) {
      const body = ["PATCH", "PUT"].includes(method) ? open.layer.bytes : null;
      const response = await anonymous.send(method, path, { body });
      expect([response.status, response.headers.get("WWW-Authenticate")], `${method} ${path}`).toEqual([
        401,
        REALM,
      ]);
    }
    expect((await ci.send("GET", upload)).headers.get("Range")).toBe("0-0");
  });
});

describe("without a key, everything else", () => {
  test.each([
    "/v2/",
    "/v2/_catalog",
    "/v2/hosted/",
    "/v2/hosted/_catalog",
    "/hosted/v2/_catalog",
    `${PRIVATE}/manifests/secret-tag`,
    `${PRIVATE}/tags/list`,
    "/v2/hosted/nowhere/tags/list",
    "/v2/hosted/public/tags/list",
    "/v2/hosted/publicly/app/tags/list",
    "/v2/hosted/Public/app/tags/list",
    "/v2/hosted/public/../private/app/manifests/secret-tag",
    "/v2/hosted/public/%2e%2e/private/app/manifests/secret-tag",
    "/v2/hosted/public/..%2fprivate/app/manifests/secret-tag",
    "/v2/hosted/public%2fapp/manifests/1.0",
    "/v2/hosted/public//app/manifests/1.0",
    "/v2//hosted/public/app/manifests/1.0",
    "/v2/hosted/public/app/manifests/1.0/../../../../private/app/manifests/secret-tag",
    "/v2/docker.io/hosted/public/app/manifests/1.0",
    "/v2/ghcr.io/hosted/public/app/manifests/1.0",
    "/v2/public/app/manifests/1.0?ns=hosted",
    "/docker.io/v2/hosted/public/app/manifests/1.0",
    "/v2/library/alpine/manifests/latest?ns=hosted/public",
    "/v2/hosted/private/app/manifests/secret-tag?ns=hosted/public/app",
    "/v2/hosted/private/app/blobs/sha256:zz",
    "/v2/hosted/public/app/blobs/sha256:zz",
  ])("%s is challenged as ever, and nothing is looked up", async (path) => {
    for (const method of ["GET", "HEAD"]) {
      const response = await anonymous.send(method, path);
      expect([response.status, response.headers.get("WWW-Authenticate")]).toEqual([401, REALM]);
    }
    expect(mirror.docker.requests).toEqual([]);
    expect(mirror.ghcr.requests).toEqual([]);
  });

  test("is challenged on the hosts of upstreams, whatever the path", async () => {
    for (const host of ["docker.example.com", "ghcr.example.com"]) {
      const response = await mirror.request("/v2/hosted/public/app/manifests/1.0", { host });
      expect(response.status).toBe(401);
    }
    expect(mirror.docker.requests).toEqual([]);
  });
});

describe("a token without a login", () => {
  const token = (scopes: string[], host = "mirror.test") => {
    const query = new URLSearchParams([["service", host], ...scopes.map((scope) => ["scope", scope])]);
    return mirror.request(`/_/token?${query}`, { host });
  };

  test("is issued to a client that was challenged at /v2/, and opens what is public only", async () => {
    const issued = await token(["repository:hosted/public/app:pull"]);
    expect(issued.status).toBe(200);
    const client = new Pusher(mirror, bearer(issued.json().token));
    expect((await client.send("GET", `${PUBLIC}/manifests/1.0`)).status).toBe(200);
    for (const path of ["/v2/", "/v2/_catalog", `${PRIVATE}/tags/list`, "/v2/library/alpine/tags/list"]) {
      expect((await client.send("GET", path)).status, path).toBe(401);
    }
    expect((await client.send("POST", `${PUBLIC}/blobs/uploads/`)).status).toBe(401);
  });

  test("is issued on the registry's own host for the names that it has", async () => {
    expect((await token(["repository:public/app:pull"], "registry.example.com")).status).toBe(200);
    expect((await token(["repository:private/app:pull"], "registry.example.com")).status).toBe(401);
  });

  test.each([
    [[]],
    [["repository:hosted/private/app:pull"]],
    [["repository:hosted/public/app:pull", "repository:hosted/private/app:pull"]],
    [["repository:library/alpine:pull"]],
    [["registry:catalog:*"]],
  ])("is refused for the scopes %j", async (scopes) => {
    expect((await token(scopes)).status).toBe(401);
  });

  test("is refused beside a login that isn't valid", async () => {
    const path = "/_/token?service=mirror.test&scope=repository:hosted/public/app:pull";
    expect((await mirror.request(path, { headers: basic("x".repeat(32)) })).status).toBe(401);
  });
});

describe("with a key", () => {
  test("what is private can't be mounted into a public repository without the right to read it", async () => {
    const narrow = new Pusher(mirror, basic(NARROW));
    for (const query of ["", "&from=hosted/private/app", "&from=private/app"]) {
      const path = `${PUBLIC}/blobs/uploads/?mount=${secret.layer.digest}${query}`;
      expect((await narrow.send("POST", path)).status).toBe(202);
    }
    expect((await anonymous.send("GET", `${PUBLIC}/blobs/${secret.layer.digest}`)).status).toBe(404);
  });

  test("public repositories are listed for every key, the others as before", async () => {
    const { repositories } = (await new Pusher(mirror, basic(NARROW)).send("GET", "/v2/_catalog")).json();
    expect(repositories).toEqual(["hosted/public/app"]);
  });
});
