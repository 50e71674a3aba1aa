import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { RegistryError } from "../src/oci/errors.ts";
import type { Target } from "../src/pull/target.ts";
import { type Routed, route } from "../src/route.ts";

const SHA256 = `sha256:${"a1".repeat(32)}`;
const SHA512 = `sha512:${"a1".repeat(64)}`;
const config = readConfig({ DOMAIN: "example.com", UPSTREAMS: { local: {} } });

/** `place` is a host and a path, or a path on a host that names no upstream. */
function ask(place: string, using = config): Routed {
  return route(
    new URL(place.startsWith("/") ? `https://mirror.example.com${place}` : `https://${place}`),
    using,
  );
}

function targetOf(place: string, using = config): Target {
  const routed = ask(place, using);
  if (routed.kind !== "target") throw new Error(`${place} is ${routed.kind}`);
  return routed.target;
}

function whole(place: string): string {
  const { upstream, repository } = targetOf(place);
  return `${upstream.name}/${repository}`;
}

function refusal(place: string): RegistryError {
  try {
    ask(place);
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
  throw new Error(`${place} was routed`);
}

describe("the shapes of a request", () => {
  test.each([
    ["H", "ghcr.example.com/v2/owner/image/manifests/1", "ghcr.io/owner/image"],
    ["H by hyphens", "registry-k8s-io.example.com/v2/pause/manifests/1", "registry.k8s.io/pause"],
    ["H by a name without dots", "local.example.com/v2/image/manifests/1", "local/image"],
    ["A", "/v2/ghcr.io/owner/image/manifests/1", "ghcr.io/owner/image"],
    ["A by hyphens", "/v2/registry-k8s-io/pause/manifests/1", "registry.k8s.io/pause"],
    ["A by an alias with a dot", "/v2/index.docker.io/owner/image/manifests/1", "docker.io/owner/image"],
    ["A of a family", "/v2/us-docker.pkg.dev/p/r/i/manifests/1", "us-docker.pkg.dev/p/r/i"],
    ["A of the other family", "/v2/us.gcr.io/p/i/manifests/1", "us.gcr.io/p/i"],
    ["B", "/ghcr.io/v2/owner/image/manifests/1", "ghcr.io/owner/image"],
    ["B by hyphens", "/ghcr-io/v2/owner/image/manifests/1", "ghcr.io/owner/image"],
    ["B of a family", "/us-docker.pkg.dev/v2/p/r/i/manifests/1", "us-docker.pkg.dev/p/r/i"],
    ["N", "/v2/owner/image/manifests/1?ns=ghcr.io", "ghcr.io/owner/image"],
    ["N of a family", "/v2/p/r/i/manifests/1?ns=us-docker.pkg.dev", "us-docker.pkg.dev/p/r/i"],
    ["a plain name", "/v2/owner/image/manifests/1", "docker.io/owner/image"],
    ["a plain word for a user", "/v2/ghcr/image/manifests/1", "docker.io/ghcr/image"],
    ["another host", "example.org/v2/owner/image/manifests/1", "docker.io/owner/image"],
  ])("%s: %s", (_, place, found) => expect(whole(place)).toBe(found));

  test.each([
    ["?at=", "/v2/library/alpine/manifests/3?at=2026-11-01", "docker.io/library/alpine"],
    [
      "?at= on an upstream's host",
      "ghcr.example.com/v2/owner/image/manifests/1?at=2026-11-01",
      "ghcr.io/owner/image",
    ],
    ["?at= behind an upstream", "/ghcr.io/v2/owner/image/manifests/1?at=2026-11-01", "ghcr.io/owner/image"],
    ["a prefix", "/v2/at-20261101/docker.io/alpine/manifests/3", "docker.io/library/alpine"],
    [
      "a prefix, which counts before ?at=",
      "/v2/at-20261101/ghcr-io/a/b/manifests/1?at=2020-01-01",
      "ghcr-io/a/b",
    ],
    ["a prefix beside ns", "/v2/at-20261101/quay.io/a/b/manifests/1?ns=quay.io", "quay.io/a/b"],
  ])("a day by %s: %s", (_, place, found) => {
    expect(whole(place)).toBe(found.replace("ghcr-io", "ghcr.io"));
    expect(targetOf(place).day).toBe("2026-11-01");
  });

  test.each([
    ["no day", "/v2/library/alpine/manifests/3", "docker.io/library/alpine"],
    ["a user's name that looks like one", "/v2/at-20261101/image/manifests/1", "docker.io/at-20261101/image"],
    [
      "a prefix on an upstream's host",
      "ghcr.example.com/v2/at-20261101/docker.io/a/manifests/1",
      "ghcr.io/at-20261101/docker.io/a",
    ],
    [
      "a prefix that is too long",
      "/v2/at-202611011/docker.io/a/manifests/1",
      "docker.io/at-202611011/docker.io/a",
    ],
  ])("%s: %s", (_, place, found) => {
    expect(whole(place)).toBe(found);
    expect(targetOf(place).day).toBeNull();
  });

  test.each([
    "/v2/library/alpine/manifests/3?at=2026-13-01",
    "/v2/library/alpine/manifests/3?at=2026-02-29",
    "/v2/library/alpine/manifests/3?at=20261101",
    "/v2/library/alpine/manifests/3?at=",
    "/v2/at-20260230/docker.io/library/alpine/manifests/3",
  ])("what is no day is unknown: %s", (place) => {
    expect(refusal(place)).toMatchObject({ status: 404, code: "MANIFEST_UNKNOWN" });
  });

  test("a plain name belongs to whatever the default upstream is", () => {
    const quay = readConfig({ DEFAULT_UPSTREAM: "quay.io" });
    expect(targetOf("/v2/image/manifests/1", quay)).toMatchObject({
      upstream: { name: "quay.io" },
      repository: "image",
    });
  });
});

describe("host goes before path goes before ns", () => {
  test.each([
    ["host before ns", "ghcr.example.com/v2/o/i/manifests/1?ns=quay.io", "ghcr.io/o/i"],
    ["host before an unknown ns", "ghcr.example.com/v2/o/i/manifests/1?ns=nowhere.example", "ghcr.io/o/i"],
    ["host before B", "ghcr.example.com/quay.io/v2/o/i/manifests/1", "ghcr.io/o/i"],
    ["host before A", "ghcr.example.com/v2/quay.io/o/i/manifests/1", "ghcr.io/quay.io/o/i"],
    ["A before ns", "/v2/ghcr.io/o/i/manifests/1?ns=quay.io", "ghcr.io/o/i"],
    ["A before an unknown ns", "/v2/ghcr.io/o/i/manifests/1?ns=nowhere.example", "ghcr.io/o/i"],
    ["B before ns", "/ghcr.io/v2/o/i/manifests/1?ns=quay.io", "ghcr.io/o/i"],
    ["B before an unknown ns", "/ghcr.io/v2/o/i/manifests/1?ns=nowhere.example", "ghcr.io/o/i"],
    ["B before A", "/ghcr.io/v2/quay.io/o/i/manifests/1", "ghcr.io/quay.io/o/i"],
  ])("%s", (_, place, found) => expect(whole(place)).toBe(found));

  test("ns is served as OCI-Namespace only where it decided", () => {
    expect(targetOf("/v2/o/i/manifests/1?ns=ghcr.io").namespace).toBe("ghcr.io");
    for (const place of [
      "/v2/o/i/manifests/1",
      "/v2/ghcr.io/o/i/manifests/1?ns=ghcr.io",
      "/ghcr.io/v2/o/i/manifests/1?ns=ghcr.io",
      "ghcr.example.com/v2/o/i/manifests/1?ns=ghcr.io",
    ]) {
      expect(targetOf(place).namespace).toBeNull();
    }
  });
});

describe("hosts", () => {
  test.each([
    ["the domain itself", "example.com"],
    ["two labels deep", "a.ghcr.example.com"],
    ["two labels that are an upstream's name", "ghcr.io.example.com"],
    ["only ending alike", "ghcrexample.com"],
    ["an unknown label", "nobody.example.com"],
    ["a label that every object has", "constructor.example.com"],
  ])("%s names no upstream", (_, host) => {
    expect(whole(`${host}/v2/o/i/manifests/1`)).toBe("docker.io/o/i");
  });

  test("name a member of a family by its name with hyphens", () => {
    expect(whole("us-docker-pkg-dev.example.com/v2/p/r/i/manifests/1")).toBe("us-docker.pkg.dev/p/r/i");
  });

  test("name an upstream whatever the case and port", () => {
    expect(whole("GHCR.Example.COM:8443/v2/o/i/manifests/1")).toBe("ghcr.io/o/i");
  });

  test("name nothing where no domain is configured", () => {
    expect(targetOf("ghcr.example.com/v2/o/i/manifests/1", readConfig({})).upstream.name).toBe("docker.io");
  });
});

describe("library/", () => {
  test.each([
    ["/v2/alpine/manifests/1", "/v2/alpine"],
    ["/v2/docker.io/alpine/manifests/1", "/v2/docker.io/alpine"],
    ["/docker.io/v2/alpine/manifests/1", "/docker.io/v2/alpine"],
    ["/v2/alpine/manifests/1?ns=docker.io", "/v2/alpine"],
    ["docker.example.com/v2/alpine/manifests/1", "/v2/alpine"],
  ])("goes before a one-part name of Docker Hub, not into links back: %s", (place, path) => {
    expect(targetOf(place)).toMatchObject({ repository: "library/alpine", path });
  });

  test.each([
    ["/v2/registry-ollama-ai/llama3/manifests/1b", "registry.ollama.ai/library/llama3"],
    ["/v2/registry.ollama.ai/Someone/Llama3/manifests/1b", "registry.ollama.ai/Someone/Llama3"],
    ["ollama.example.com/v2/library/llama3/manifests/1b", "registry.ollama.ai/library/llama3"],
  ])("goes before a one-part name of Ollama's, whose names keep their capitals: %s", (place, expected) => {
    expect(whole(place)).toBe(expected);
  });

  test("a Docker Hub user whose name looks like a family's member is a Docker Hub user", () => {
    expect(whole("/v2/acme-gcr-io/app/manifests/1")).toBe("docker.io/acme-gcr-io/app");
  });

  test("isn't doubled, and isn't put before other upstreams' names", () => {
    expect(whole("/v2/library/alpine/manifests/1")).toBe("docker.io/library/alpine");
    expect(whole("/v2/registry.k8s.io/pause/manifests/1")).toBe("registry.k8s.io/pause");
  });
});

describe("the ping", () => {
  test.each([
    "/v2/",
    "/v2",
    "/v2/?ns=ghcr.io",
    "/v2/?ns=nowhere.example",
    "/ghcr.io/v2/",
    "/ghcr.io/v2",
    "/ghcr-io/v2/",
    "/us-docker.pkg.dev/v2/",
    "ghcr.example.com/v2/",
    "nobody.example.com/v2/",
  ])("is %s", (place) => expect(ask(place)).toEqual({ kind: "ping" }));

  test("of an upstream that isn't mirrored is refused", () => {
    expect(refusal("/nowhere.example/v2/").code).toBe("NAME_UNKNOWN");
  });
});

describe("what is requested is read from the right", () => {
  test.each<[string, string, object]>([
    ["/v2/o/i/manifests/latest", "o/i", { kind: "manifest", reference: { tag: "latest" } }],
    [`/v2/o/i/manifests/${SHA256}`, "o/i", { kind: "manifest", reference: { digest: SHA256 } }],
    [`/v2/o/i/manifests/${SHA512}`, "o/i", { kind: "manifest", reference: { digest: SHA512 } }],
    [`/v2/o/i/blobs/${SHA256}`, "o/i", { kind: "blob", digest: SHA256 }],
    [`/v2/o/i/blobs/${SHA512}`, "o/i", { kind: "blob", digest: SHA512 }],
    [`/v2/o/i/referrers/${SHA256}`, "o/i", { kind: "referrers", digest: SHA256 }],
    ["/v2/o/i/tags/list", "o/i", { kind: "tags" }],
    ["/v2/o/manifests/manifests/blobs", "o/manifests", { kind: "manifest", reference: { tag: "blobs" } }],
    ["/v2/manifests/manifests/1", "library/manifests", { kind: "manifest", reference: { tag: "1" } }],
    [`/v2/blobs/blobs/blobs/${SHA256}`, "blobs/blobs", { kind: "blob", digest: SHA256 }],
    ["/v2/tags/tags/list", "library/tags", { kind: "tags" }],
    ["/v2/o/tags/list/tags/list", "o/tags/list", { kind: "tags" }],
    ["/v2/o/tags/manifests/list", "o/tags", { kind: "manifest", reference: { tag: "list" } }],
    ["/v2/o/manifests/tags/list", "o/manifests", { kind: "tags" }],
    ["/v2/v2/manifests/1", "library/v2", { kind: "manifest", reference: { tag: "1" } }],
    ["/v2/referrers/x/manifests/1", "referrers/x", { kind: "manifest", reference: { tag: "1" } }],
  ])("%s", (place, repository, resource) => {
    expect(targetOf(place)).toMatchObject({ upstream: { name: "docker.io" }, repository, resource });
  });

  test("a digest's colon may be escaped, in either case", () => {
    for (const colon of ["%3A", "%3a"]) {
      const place = `/v2/o/i/blobs/${SHA256.replace(":", colon)}`;
      expect(targetOf(place).resource).toEqual({ kind: "blob", digest: SHA256 });
    }
  });

  test.each([
    "/v2/o/i",
    "/v2/o/i/tags",
    "/v2/o/i/tags/all",
    "/v2/o/i/blobs/uploads/",
    "/v2/_catalogue",
    "/v2/x",
  ])("%s is nothing that can be pulled", (place) =>
    expect(refusal(place)).toMatchObject({ status: 404, code: "UNSUPPORTED" }),
  );

  test.each(["/", "/favicon.ico", "/_/health", "/v1/o/i/manifests/1", "/a/b/v2/o/i/manifests/1", "/v2x/"])(
    "%s is no registry request at all",
    (place) => expect(ask(place)).toEqual({ kind: "elsewhere" }),
  );
});

describe("an upstream that isn't mirrored is refused, with the list of those that are", () => {
  test.each([
    ["a first component with a dot", "/v2/nowhere.example/o/i/manifests/1", "nowhere.example"],
    ["with a port", "/v2/localhost:5000/o/i/manifests/1", "localhost:5000"],
    ["with an escaped port", "/v2/localhost%3A5000/o/i/manifests/1", "localhost:5000"],
    ["a known name with a port", "/v2/ghcr.io:443/o/i/manifests/1", "ghcr.io:443"],
    ["nothing but such a component", "/v2/nowhere.example", "nowhere.example is"],
    ["an ns", "/v2/o/i/manifests/1?ns=nowhere.example", "nowhere.example"],
    ["an ns that is a host label only", "/v2/o/i/manifests/1?ns=ghcr", "ghcr is"],
    ["an ns with a port", "/v2/o/i/manifests/1?ns=ghcr.io:443", "ghcr.io:443"],
    ["an ns that is a URL", "/v2/o/i/manifests/1?ns=https://ghcr.io", "https://ghcr.io"],
    ["an ns with a user", "/v2/o/i/manifests/1?ns=ghcr.io@nowhere.example", "ghcr.io@nowhere.example"],
    ["an ns of a metadata service", "/v2/o/i/manifests/1?ns=169.254.169.254", "169.254.169.254"],
    ["a B prefix with a dot", "/nowhere.example/v2/o/i/manifests/1", "nowhere.example"],
    ["a B prefix without", "/nowhere/v2/o/i/manifests/1", "nowhere is"],
    ["a family's name itself", "/v2/pkg.dev/o/i/manifests/1", "pkg.dev is"],
    ["two labels below a family", "/v2/evil.com.pkg.dev/o/i/manifests/1", "evil.com.pkg.dev"],
    ["a user before a family", "/v2/x@y.pkg.dev/o/i/manifests/1", "x@y.pkg.dev"],
    ["a port before a family", "/v2/a:8080.pkg.dev/o/i/manifests/1", "a:8080.pkg.dev"],
    ["a dot smuggled before a family", "/v2/evil%2ecom.pkg.dev/o/i/manifests/1", "evil%2ecom.pkg.dev"],
  ])("%s", (_, place, named) => {
    const error = refusal(place);
    expect(error).toMatchObject({ status: 404, code: "NAME_UNKNOWN" });
    expect(error.message).toContain(named);
    for (const name of config.upstreamNames) expect(error.message).toContain(name);
  });

  test("in a known upstream's own repositories dots are free, however it was named", () => {
    const codeberg = "codeberg.org/first.last/i";
    expect(whole("/v2/codeberg.org/first.last/i/manifests/1")).toBe(codeberg);
    expect(whole("/codeberg.org/v2/first.last/i/manifests/1")).toBe(codeberg);
    expect(whole("codeberg.example.com/v2/first.last/i/manifests/1")).toBe(codeberg);
    expect(whole("/v2/first.last/i/manifests/1?ns=codeberg.org")).toBe(codeberg);
  });
});
