import { describe, expect, test } from "vitest";
import { type ClientInfo, clientError, type Wanted } from "../../src/pull/client-error.ts";
import type { Failure, FailureKind } from "../../src/registry/failure.ts";

const askers = {
  "containerd with ns": { userAgent: "containerd/1.6.20", via: "", hasNamespace: true },
  "BuildKit with ns": { userAgent: "buildkit/v0.12", via: "", hasNamespace: true },
  "docker's containerd store with ns": { userAgent: "docker/28.0.1 go/go1.23", via: "", hasNamespace: true },
  dockerd: {
    userAgent: "docker/20.10.24 go/go1.19.8 git-commit/5d6db84 kernel/6.1",
    via: "",
    hasNamespace: false,
  },
  podman: { userAgent: "containers/5.23.1 (github.com/containers/image)", via: "", hasNamespace: false },
  Buildah: { userAgent: "Buildah/1.28.2", via: "", hasNamespace: false },
  skopeo: { userAgent: "skopeo/1.9.3", via: "", hasNamespace: false },
  "CRI-O": { userAgent: "cri-o/1.30.0", via: "", hasNamespace: false },
  crane: { userAgent: "crane/0.20.2 go-containerregistry", via: "", hasNamespace: false },
  helm: { userAgent: "Helm/3.15", via: "", hasNamespace: false },
  curl: { userAgent: "curl/8.5.0", via: "", hasNamespace: false },
  "nobody in particular": { userAgent: "", via: "", hasNamespace: false },
  // Names that only look like one of the above are whoever they are: asked for by name.
  "one that only mentions docker": { userAgent: "mydocker/1 docker/20", via: "", hasNamespace: false },
} satisfies Record<string, ClientInfo>;

function failure(kind: FailureKind, retryAfter: number | null = null): Failure {
  return { kind, message: `it is ${kind}`, status: 0, retryAfter };
}

type Row = [asker: keyof typeof askers, wanted: Wanted, limited: number, unavailable: number];

describe("when nothing is held, a client gets the status that suits it best", () => {
  test.each<Row>([
    ["containerd with ns", "manifest", 503, 503],
    ["containerd with ns", "blob", 503, 503],
    ["BuildKit with ns", "manifest", 503, 503],
    ["BuildKit with ns", "blob", 503, 503],
    ["docker's containerd store with ns", "manifest", 503, 503],
    ["docker's containerd store with ns", "blob", 503, 503],
    ["dockerd", "manifest", 503, 503],
    ["dockerd", "blob", 429, 429],
    ["podman", "manifest", 503, 503],
    ["podman", "blob", 503, 503],
    ["Buildah", "manifest", 503, 503],
    ["Buildah", "blob", 503, 503],
    ["skopeo", "manifest", 503, 503],
    ["CRI-O", "manifest", 503, 503],
    ["crane", "manifest", 429, 503],
    ["crane", "blob", 429, 503],
    ["helm", "manifest", 429, 503],
    ["curl", "manifest", 429, 503],
    ["curl", "blob", 429, 503],
    ["curl", "listing", 429, 503],
    ["nobody in particular", "manifest", 429, 503],
    ["nobody in particular", "blob", 429, 503],
    ["one that only mentions docker", "blob", 429, 503],
  ])("%s, %s: %i when limited, %i when upstream is down", (asker, wanted, limited, unavailable) => {
    expect(clientError(failure("limited"), wanted, askers[asker]).status).toBe(limited);
    expect(clientError(failure("unavailable"), wanted, askers[asker]).status).toBe(unavailable);
  });

  test("the code says what upstream's trouble is, whatever the status", () => {
    expect(clientError(failure("limited"), "manifest", askers.podman).code).toBe("TOOMANYREQUESTS");
    expect(clientError(failure("unavailable"), "blob", askers.dockerd).code).toBe("UNAVAILABLE");
  });

  test.each(Object.entries(askers))("no limit is ever told to %s as a 404", (_, asker) => {
    for (const wanted of ["manifest", "blob", "listing"] as const) {
      expect(clientError(failure("limited"), wanted, asker).status).not.toBe(404);
    }
  });
});

describe("what upstream says for good is told alike to everybody", () => {
  test.each(Object.entries(askers))("to %s", (_, asker) => {
    expect(clientError(failure("missing"), "manifest", asker)).toMatchObject({
      status: 404,
      code: "MANIFEST_UNKNOWN",
    });
    expect(clientError(failure("missing"), "blob", asker)).toMatchObject({
      status: 404,
      code: "BLOB_UNKNOWN",
    });
    expect(clientError(failure("missing"), "listing", asker)).toMatchObject({
      status: 404,
      code: "NAME_UNKNOWN",
    });
    for (const wanted of ["manifest", "blob", "listing"] as const) {
      expect(clientError(failure("denied"), wanted, asker)).toMatchObject({ status: 403, code: "DENIED" });
    }
  });
});

describe("Retry-After", () => {
  const wait = (kind: FailureKind, seconds: number | null, asker: ClientInfo) =>
    clientError(failure(kind, seconds), "blob", asker).headers["Retry-After"];

  test("is upstream's own", () => {
    expect(wait("limited", 17, askers.crane)).toBe("17");
    expect(wait("unavailable", 5, askers["containerd with ns"])).toBe("5");
    expect(wait("limited", 0, askers.crane)).toBe("0");
  });

  test("stands with every 429, also where upstream gives none, so that nobody asks again at once", () => {
    expect(wait("limited", null, askers.crane)).toBe("60");
    expect(wait("unavailable", null, askers.dockerd)).toBe("60");
  });

  test("isn't made up for a 503", () => {
    expect(wait("unavailable", null, askers.podman)).toBeUndefined();
  });
});

test("the client reads the failure's own sentence", () => {
  expect(clientError(failure("denied"), "blob", askers.curl).message).toBe("it is denied");
});
