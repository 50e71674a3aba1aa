/** Which upstream a name belongs to, in a path and as a label of a host name. */
import { describe, expect, test } from "vitest";
import { hyphenated, readConfig } from "../src/config.ts";
import { endpointsOf } from "./support/config.ts";

describe("a name finds its upstream", () => {
  const config = readConfig({});

  test.each([
    ["ghcr.io", "ghcr.io"],
    ["ghcr-io", "ghcr.io"],
    ["registry-k8s-io", "registry.k8s.io"],
    ["index.docker.io", "docker.io"],
    ["registry-1.docker.io", "docker.io"],
  ])("%s is %s", (name, found) => expect(config.upstream(name)?.name).toBe(found));

  test.each(["ghcr", "quay", "docker", "hub"])(
    "%s names no upstream in a path, for it may be a Docker Hub user, but an upstream's as a host label",
    (word) => {
      expect(config.upstream(word)).toBeNull();
      expect(config.upstreamByLabel(word)).not.toBeNull();
    },
  );

  test.each(["", "constructor", "__proto__", "toString", "*.pkg.dev", "pkg.dev", ".pkg.dev", "GHCR.IO"])(
    "%j names no upstream",
    (name) => {
      expect(config.upstream(name)).toBeNull();
      expect(config.upstreamByLabel(name)).toBeNull();
    },
  );

  test("a member of a family is an upstream of its own at its own host", () => {
    const upstream = config.upstream("us-docker.pkg.dev");
    expect(upstream?.name).toBe("us-docker.pkg.dev");
    expect(upstream?.endpoints.map(({ href }) => href)).toEqual(["https://us-docker.pkg.dev/"]);
    expect(config.upstream("us.gcr.io")?.name).toBe("us.gcr.io");
    expect(config.upstream("gcr.io")?.name).toBe("gcr.io");
  });

  test("a member's spelling with hyphens is a host label only, for in a path it may be a Docker Hub user", () => {
    for (const [name, member] of [
      ["acme-gcr-io", "acme.gcr.io"],
      ["us-docker-pkg-dev", "us-docker.pkg.dev"],
    ] as const) {
      expect(config.upstream(name)).toBeNull();
      expect(config.upstreamByLabel(name)?.name).toBe(member);
    }
  });

  test.each([
    "evil.com.pkg.dev",
    "x@y.pkg.dev",
    "a:8080.pkg.dev",
    "us-docker.pkg.dev:8080",
    "us-docker.pkg.dev.",
    "-a.pkg.dev",
    "a_b.pkg.dev",
    "A.pkg.dev",
    "a/b.pkg.dev",
    "a%2eb.pkg.dev",
    "a#.pkg.dev",
  ])("%s is no member of a family", (name) => expect(config.upstream(name)).toBeNull());
});

describe("where two upstreams claim a name", () => {
  test("an upstream's own name outdoes another one's alias and hyphens", () => {
    const UPSTREAMS = {
      "ghcr.io": { aliases: ["quay.io", "codeberg-org"] },
      "quay-io": {},
      "zzz.example.org": { aliases: ["quay.io"] },
    };
    const config = readConfig({ UPSTREAMS });
    expect(config.upstream("quay.io")?.name).toBe("quay.io");
    expect(config.upstream("quay-io")?.name).toBe("quay-io");
    expect(config.upstreamByLabel("codeberg-org")?.name).toBe("codeberg.org");
  });

  test("an added upstream's alias outdoes a built-in one", () => {
    const config = readConfig({
      UPSTREAMS: { "mine.example.org": { aliases: ["ghcr", "index.docker.io"] } },
    });
    expect(config.upstreamByLabel("ghcr")?.name).toBe("mine.example.org");
    expect(config.upstream("index.docker.io")?.name).toBe("mine.example.org");
  });

  test("a single upstream outdoes the family it would belong to", () => {
    const UPSTREAMS = { "eu.gcr.io": { endpoints: ["https://other.example.org"] } };
    expect(endpointsOf({ UPSTREAMS }, "eu.gcr.io")).toEqual(["https://other.example.org/"]);
  });
});

describe("DEFAULT_UPSTREAM", () => {
  test.each(["quay.io", "us-docker.pkg.dev"])("may be %s", (name) => {
    expect(readConfig({ DEFAULT_UPSTREAM: name }).defaultUpstream.name).toBe(name);
  });

  test("may be one that UPSTREAMS adds", () => {
    const env = { DEFAULT_UPSTREAM: "r.example.org", UPSTREAMS: { "r.example.org": {} } };
    expect(readConfig(env).defaultUpstream.name).toBe("r.example.org");
  });
});

test("dots become hyphens", () => expect(hyphenated("registry.k8s.io")).toBe("registry-k8s-io"));
