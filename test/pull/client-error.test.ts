import { describe, expect, test } from "vitest";
import { type ClientInfo, clientError, type Wanted } from "../../src/pull/client-error.ts";
import type { Failure, FailureKind } from "../../src/registry/failure.ts";

const clients = {
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
  "an unknown client": { userAgent: "", via: "", hasNamespace: false },
  // User agents that only resemble one of the above are treated as unknown clients.
  "one that only mentions docker": { userAgent: "mydocker/1 docker/20", via: "", hasNamespace: false },
} satisfies Record<string, ClientInfo>;

function failure(kind: FailureKind, retryAfter: number | null = null): Failure {
  return { kind, message: `it is ${kind}`, status: 0, retryAfter };
}

type Row = [client: keyof typeof clients, wanted: Wanted, limited: number, unavailable: number];

describe("when nothing is cached, each client gets the status that it handles best", () => {
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
    ["an unknown client", "manifest", 429, 503],
    ["an unknown client", "blob", 429, 503],
    ["one that only mentions docker", "blob", 429, 503],
  ])("%s, %s: %i when limited, %i when upstream is down", (client, wanted, limited, unavailable) => {
    expect(clientError(failure("limited"), wanted, clients[client]).status).toBe(limited);
    expect(clientError(failure("unavailable"), wanted, clients[client]).status).toBe(unavailable);
  });

  test("the error code names upstream's failure, whatever the status", () => {
    expect(clientError(failure("limited"), "manifest", clients.podman).code).toBe("TOOMANYREQUESTS");
    expect(clientError(failure("unavailable"), "blob", clients.dockerd).code).toBe("UNAVAILABLE");
  });

  test.each(Object.entries(clients))("a rate limit is never reported to %s as a 404", (_, client) => {
    for (const wanted of ["manifest", "blob", "listing"] as const) {
      expect(clientError(failure("limited"), wanted, client).status).not.toBe(404);
    }
  });
});

describe("a definite response of upstream's is the same for every client", () => {
  test.each(Object.entries(clients))("to %s", (_, client) => {
    expect(clientError(failure("missing"), "manifest", client)).toMatchObject({
      status: 404,
      code: "MANIFEST_UNKNOWN",
    });
    expect(clientError(failure("missing"), "blob", client)).toMatchObject({
      status: 404,
      code: "BLOB_UNKNOWN",
    });
    expect(clientError(failure("missing"), "listing", client)).toMatchObject({
      status: 404,
      code: "NAME_UNKNOWN",
    });
    for (const wanted of ["manifest", "blob", "listing"] as const) {
      expect(clientError(failure("denied"), wanted, client)).toMatchObject({ status: 403, code: "DENIED" });
    }
  });
});

describe("Retry-After", () => {
  const wait = (kind: FailureKind, seconds: number | null, client: ClientInfo) =>
    clientError(failure(kind, seconds), "blob", client).headers["Retry-After"];

  test("is upstream's", () => {
    expect(wait("limited", 17, clients.crane)).toBe("17");
    expect(wait("unavailable", 5, clients["containerd with ns"])).toBe("5");
    expect(wait("limited", 0, clients.crane)).toBe("0");
  });

  test("is set on every 429, even where upstream sent none, so that clients don't retry at once", () => {
    expect(wait("limited", null, clients.crane)).toBe("60");
    expect(wait("unavailable", null, clients.dockerd)).toBe("60");
  });

  test("isn't invented for a 503", () => {
    expect(wait("unavailable", null, clients.podman)).toBeUndefined();
  });
});

test("the client gets the failure's message", () => {
  expect(clientError(failure("denied"), "blob", clients.curl).message).toBe("it is denied");
});
