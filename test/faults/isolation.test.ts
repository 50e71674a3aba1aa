/** Callers, repositories and upstreams kept apart: nobody gets, or learns of, what is only somebody else's. */
import { beforeEach, expect } from "vitest";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import type { Answer } from "../support/mirror.ts";
import {
  blobKey,
  CLIENTS,
  cacheStatus,
  calls,
  expectRefused,
  expectStale,
  expectWhole,
  hold,
  LAYER,
  later,
  TAG,
  useFaults,
  WARM,
} from "./support.ts";

const OWNER = { username: "owner", password: "hunter2" };
const scene = useFaults("isolation", {
  vars: { DOMAIN: "example.com", UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] } },
});
const { mirror, demo, fault } = scene;
/** Milliseconds after which what was found public is no longer taken to be so, with an hour to spare. */
const A_DAY = 25 * 3_600_000;
const SECRET = patternBytes(1000, 99);
let secret: Image;
/** The private image's layer, and where it lies. */
let hidden: { digest: string; blob: string; manifest: string; tag: string };

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
  mirror.docker.setVisibility("owner/secret", "private");
  const digest = secret.layers[0]?.digest ?? "";
  hidden = {
    digest,
    blob: `/v2/owner/secret/blobs/${digest}`,
    manifest: `/v2/owner/secret/manifests/${secret.target.digest}`,
    tag: "/v2/owner/secret/manifests/latest",
  };
});

/** All that an answer tells, its own time apart. */
function told({ status, headers, bytes }: Answer): unknown {
  return [
    status,
    [...headers].sort(),
    new TextDecoder().decode(bytes).replace(/library\/\w+|owner\/\w+/g, "R"),
  ];
}

async function expectNothingOfIt(answer: Answer, status: number, code: string): Promise<void> {
  expectRefused(answer, status, code);
  expect(answer.headers.get("Content-Length")).not.toBe(String(SECRET.byteLength));
  expect(await mirror.stored()).not.toContain(blobKey(hidden.digest));
}

fault(
  "private blob through a public repository",
  "through its own repository: the operator's login opens it to nobody",
  async () => {
    await expectNothingOfIt(await mirror.ask(hidden.blob), 403, "DENIED");
    await expectNothingOfIt(
      await mirror.ask(hidden.blob, { headers: { Range: "bytes=0-9" } }),
      403,
      "DENIED",
    );
    const sent = mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic"));
    expect(sent).toEqual([]);
    expect(await mirror.runAlarm(hidden.digest)).toBe(false);
  },
);

fault("private blob through a public repository", "through a public one, whose login works", async () => {
  await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
  const path = `/v2/library/demo/blobs/${hidden.digest}`;
  await expectNothingOfIt(await mirror.ask(path), 404, "BLOB_UNKNOWN");
  const aliased = `/v2/docker.io/library/demo/blobs/${hidden.digest}`;
  await expectNothingOfIt(await mirror.ask(aliased), 404, "BLOB_UNKNOWN");
});

fault(
  "private blob through a public repository",
  "when the probe of whether it is public fails: asked as nobody",
  async () => {
    mirror.docker.fail({ method: "HEAD" }, { status: 500 });
    await expectNothingOfIt(await mirror.ask(hidden.blob), 403, "DENIED");
  },
);

fault("private manifest by digest", "through its own repository", async () => {
  for (const path of [hidden.manifest, hidden.tag]) expectRefused(await mirror.ask(path), 403, "DENIED");
  expect(await mirror.stored()).toEqual([]);
  expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
});

fault("private manifest by digest", "through a public one", async () => {
  await hold(scene);
  const path = `/v2/library/demo/manifests/${secret.target.digest}`;
  expectRefused(await mirror.ask(path), 404, "MANIFEST_UNKNOWN");
  const referrers = `/v2/owner/secret/referrers/${secret.target.digest}`;
  expectRefused(await mirror.ask(referrers), 403, "DENIED");
});

fault("the same digest from two upstreams", "one copy, whoever it came from", async () => {
  await mirror.ghcr.addImage("owner/demo", "latest", { layers: [LAYER] });
  await expectWhole(await mirror.ask(demo.blob));
  const answer = await mirror.ask(`/v2/ghcr.io/owner/demo/blobs/${demo.digest}`);
  await expectWhole(answer);
  expect(cacheStatus(answer)).toBe(WARM);
  expect(mirror.ghcr.requests).toEqual([]);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("the same digest from two upstreams", "what one spoils is right from the other", async () => {
  await mirror.ghcr.addImage("owner/demo", "latest", { layers: [LAYER] });
  mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.corrupted());
  await mirror.ask(demo.blob);
  expect(await mirror.stored()).toEqual([]);
  await expectWhole(await mirror.ask(`/v2/ghcr.io/owner/demo/blobs/${demo.digest}`));
  // The one that began may hold the lease still; whoever holds it, what comes to be stored is right.
  mirror.docker.clearFaults();
  await mirror.runAlarm(demo.digest);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("the same digest from two upstreams", "a tag of one says nothing of the other's", async () => {
  const other = await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
  await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
  await expectWhole(await mirror.ask(`/v2/ghcr.io${TAG.slice(3)}`), other.target.bytes);
  await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
});

fault("access revoked, content held", "by tag: denied, also by HEAD, and nothing new is opened", async () => {
  await hold(scene);
  later(scene, A_DAY);
  mirror.docker.setVisibility("library/demo", "private");
  expectRefused(await mirror.ask(TAG), 403, "DENIED");
  expect((await mirror.ask(TAG, { method: "HEAD" })).status).toBe(403);
  expectRefused(await mirror.ask("/v2/library/demo/tags/list"), 403, "DENIED");
});

fault("access revoked, content held", "a layer not held yet: denied, by the login too", async () => {
  await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
  mirror.docker.setVisibility("library/demo", "private");
  mirror.clock.ahead += A_DAY;
  expectRefused(await mirror.ask(demo.blob), 403, "DENIED");
  expect(await mirror.stored()).not.toContain(blobKey(demo.digest));
});

for (const kind of ["blob", "manifest", "tag"] as const) {
  fault("HEAD as an oracle", `what is private can't be told from what isn't there: ${kind}`, async () => {
    const nowhere = {
      blob: `/v2/owner/nowhere/blobs/${hidden.digest}`,
      manifest: `/v2/owner/nowhere/manifests/${secret.target.digest}`,
      tag: "/v2/owner/nowhere/manifests/latest",
    };
    for (const method of ["HEAD", "GET"]) {
      const existing = await mirror.ask(hidden[kind], { method });
      expect(existing.status).toBe(403);
      expect(told(existing)).toEqual(told(await mirror.ask(nowhere[kind], { method })));
    }
  });
}

for (const [what, behaviour, status] of [
  ["404", { status: 404 }, 404],
  ["403", { status: 403 }, 403],
  ["429", behaviours.tooManyRequests(), 429],
  ["500", { status: 500 }, 503],
] as const) {
  fault("an error remembered across callers", what, async () => {
    mirror.docker.fail({ path: /^\/v2\//, authorized: true }, behaviour);
    for (const path of [TAG, demo.manifest, demo.blob, "/v2/library/demo/tags/list"]) {
      const answer = await mirror.ask(path, { headers: CLIENTS.crane.headers });
      expect([path, answer.status, answer.headers.get("Cache-Control")]).toEqual([path, status, "no-store"]);
    }
    expect(await mirror.stored()).toEqual([]);
    mirror.docker.clearFaults();
    await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
    await expectWhole(await mirror.ask(demo.manifest), demo.image.target.bytes);
    await expectWhole(await mirror.ask(demo.blob));
    expect((await mirror.ask("/v2/library/demo/tags/list")).status).toBe(200);
  });
}

fault(
  "an error remembered across callers",
  "one caller's failing lookup of a tag isn't another's stale answer",
  async () => {
    await hold(scene);
    later(scene);
    // The look whether the tag has moved, the proof that anybody may have it, and the request itself.
    mirror.docker.fail({ kind: "manifest" }, { status: 500 }, 3);
    expectStale(await mirror.ask(TAG), demo.image, 500);
    const next = await mirror.ask(TAG);
    expect([next.status, next.headers.get("Warning")]).toEqual([200, null]);
  },
);

for (const [what, host, path] of [
  ["host before ns", "docker.example.com", `${TAG}?ns=ghcr.io`],
  ["path before ns", "mirror.test", `/v2/docker.io${TAG.slice(3)}?ns=ghcr.io`],
  ["path with v2 behind it before ns", "mirror.test", `/docker.io${TAG}?ns=ghcr.io`],
  ["host before ns that is no upstream", "docker.example.com", `${TAG}?ns=evil.test`],
] as const) {
  fault("ns against host", what, async () => {
    await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
    const answer = await mirror.ask(path, { host });
    await expectWhole(answer, demo.image.target.bytes);
    expect(answer.headers.get("OCI-Namespace")).toBe(null);
    expect(mirror.ghcr.requests).toEqual([]);
    expect(mirror.network.strays).toEqual([]);
  });
}

fault("ns against host", "one client's ns has no bearing on the next one's pull", async () => {
  const other = await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
  await expectWhole(await mirror.ask(`${TAG}?ns=ghcr.io`), other.target.bytes);
  await expectWhole(await mirror.ask(TAG), demo.image.target.bytes);
});

const UNLISTED = [
  "evil.test",
  "169.254.169.254",
  "localhost:8080",
  "ghcr.io.evil.test",
  "ghcr.io@evil.test",
  "ghcr.io/../evil.test",
  "https://ghcr.io",
  "GHCR.IO",
  "ghcr",
  "*.gcr.io",
  "x.y.gcr.io",
  "evil.test/.gcr.io",
  "__proto__",
  "",
];

fault("ns to an unlisted host", async () => {
  for (const ns of UNLISTED) {
    for (const path of ["manifests/latest", `blobs/${demo.digest}`, "tags/list"]) {
      const answer = await mirror.ask(`/v2/library/demo/${path}?ns=${encodeURIComponent(ns)}`);
      expect([ns, answer.status]).toEqual([ns, 404]);
      expectRefused(answer, 404, "NAME_UNKNOWN");
      expect(answer.headers.get("OCI-Namespace")).toBe(null);
    }
  }
  expect(calls(mirror.docker)).toEqual([]);
  expect(mirror.network.strays).toEqual([]);
});
