/** Every image in what people paste, and the same text with the mirror's names. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { extractImages, LONGEST_TEXT, rewrite } from "../../src/web/references/extract.ts";
import {
  formatReference,
  isMirrored,
  type MirrorNames,
  parseReference,
  throughMirror,
} from "../../src/web/references/reference.ts";

const MIRROR: MirrorNames = {
  host: "m.test",
  upstreams: [
    "docker.io",
    "ghcr.io",
    "quay.io",
    "public.ecr.aws",
    "mcr.microsoft.com",
    "nvcr.io",
    "gcr.io",
    "*.pkg.dev",
  ],
  hosts: null,
};
const DIGEST = `sha256:${"a".repeat(64)}`;

function found(text: string): string[] {
  return extractImages(text).images.map(({ reference }) => formatReference(reference));
}

function rewritten(text: string, mirror = MIRROR): string {
  return rewrite(text, extractImages(text).images, (each) =>
    isMirrored(each, mirror) ? null : throughMirror(each, mirror),
  );
}

describe("a reference", () => {
  test.each([
    ["nginx", "m.test/docker.io/library/nginx"],
    ["nginx:1.27", "m.test/docker.io/library/nginx:1.27"],
    ["bitnami/redis", "m.test/docker.io/bitnami/redis"],
    ["docker.io/nginx", "m.test/docker.io/library/nginx"],
    ["index.docker.io/library/nginx:1", "m.test/docker.io/library/nginx:1"],
    ["registry-1.docker.io/library/nginx", "m.test/docker.io/library/nginx"],
    [`ghcr.io/a/b:1@${DIGEST}`, `m.test/ghcr.io/a/b:1@${DIGEST}`],
    [`nginx@${DIGEST}`, `m.test/docker.io/library/nginx@${DIGEST}`],
    ["us-docker.pkg.dev/p/r/i:1", "m.test/us-docker.pkg.dev/p/r/i:1"],
    ["docker://quay.io/podman/hello", "m.test/quay.io/podman/hello"],
    ["GHCR.IO/a/b", "m.test/ghcr.io/a/b"],
  ])("%s", (text, expected) => {
    expect(rewritten(text)).toBe(expected);
  });

  test.each(["localhost:5000/a/b", "registry.corp.test/a:1", "pkg.dev/a/b"])(
    "of a registry that the mirror doesn't serve stays as it is: %s",
    (text) => {
      expect(found(text)).toHaveLength(1);
      expect(rewritten(text)).toBe(text);
    },
  );

  test("that leads to the mirror already stays as it is", () => {
    expect(rewritten("m.test/ghcr.io/a/b:1")).toBe("m.test/ghcr.io/a/b:1");
  });

  test.each([
    "",
    "Nginx/Image",
    "a//b",
    "../etc",
    "nginx:",
    "nginx@sha256:short",
    `nginx@sha256:${"A".repeat(64)}`,
    "-nginx",
    "a b",
    "nginx:-x",
    "http:/x",
    "<img/src=x>",
    "nginx\u202egnp",
    `${"a/".repeat(300)}b`,
  ])("isn't found in %j", (text) => {
    expect(parseReference(text)).toBeNull();
  });

  test("has the upstream's own host where the page was opened under one", () => {
    const mirror = {
      ...MIRROR,
      host: "docker.m.test",
      hosts: { "docker.io": "docker.m.test", "ghcr.io": "ghcr.m.test" },
    };
    expect(rewritten("nginx ghcr.io/a/b quay.io/c/d", mirror)).toBe(
      "docker.m.test/library/nginx ghcr.m.test/a/b quay.io/c/d",
    );
    expect(rewritten("ghcr.m.test/a/b", mirror)).toBe("ghcr.m.test/a/b");
  });
});

test.each([
  ["https://hub.docker.com/_/nginx", "docker.io/library/nginx"],
  ["https://hub.docker.com/_/nginx/tags?name=1.27", "docker.io/library/nginx:1.27"],
  ["https://hub.docker.com/r/bitnami/redis/tags", "docker.io/bitnami/redis"],
  ["https://hub.docker.com/layers/library/nginx/1.27/images/sha256-abc", "docker.io/library/nginx:1.27"],
  ["https://hub.docker.com/repository/docker/owner/image/general", "docker.io/owner/image"],
  [
    "https://quay.io/repository/prometheus/node-exporter?tab=tags&tag=v1",
    "quay.io/prometheus/node-exporter:v1",
  ],
  ["https://quay.io/prometheus/node-exporter", "quay.io/prometheus/node-exporter"],
  ["https://github.com/Owner/Repo/pkgs/container/name", "ghcr.io/owner/name"],
  ["https://github.com/owner/repo/pkgs/container/name/123456789?tag=v2", "ghcr.io/owner/name:v2"],
  [
    "https://github.com/orgs/immich-app/packages/container/package/immich-server",
    "ghcr.io/immich-app/immich-server",
  ],
  ["https://gallery.ecr.aws/docker/library/nginx", "public.ecr.aws/docker/library/nginx"],
  ["https://mcr.microsoft.com/en-us/artifact/mar/dotnet/sdk/about", "mcr.microsoft.com/dotnet/sdk"],
  ["https://mcr.microsoft.com/product/dotnet/sdk/tags", "mcr.microsoft.com/dotnet/sdk"],
  [
    "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/k8s/containers/dcgm-exporter",
    "nvcr.io/nvidia/k8s/dcgm-exporter",
  ],
  ["https://gcr.io/distroless/static", "gcr.io/distroless/static"],
])("the page %s is about %s", (page, expected) => {
  expect(found(page)).toEqual([expected]);
});

test.each([
  "https://hub.docker.com/search?q=nginx",
  "https://github.com/owner/repo",
  "https://hub.docker.com/",
  "https://%zz",
])("the page %s is about no image", (page) => {
  expect(found(page)).toEqual([]);
});

describe("a command", () => {
  test.each([
    ["docker pull nginx", "docker pull m.test/docker.io/library/nginx"],
    [
      "$ sudo docker run -d -p 80:80 --name web nginx:1 nginx -g x",
      "$ sudo docker run -d -p 80:80 --name web m.test/docker.io/library/nginx:1 nginx -g x",
    ],
    [
      "docker run --rm -it -v /a:/b -e X=alpine --gpus=all ghcr.io/a/b sh",
      "docker run --rm -it -v /a:/b -e X=alpine --gpus=all m.test/ghcr.io/a/b sh",
    ],
    [
      "docker run -itd \\\n  -p8080:80 \\\n  --restart always \\\n  nginx",
      "docker run -itd \\\n  -p8080:80 \\\n  --restart always \\\n  m.test/docker.io/library/nginx",
    ],
    [
      "docker pull -q nginx && podman pull quay.io/a/b",
      "docker pull -q m.test/docker.io/library/nginx && podman pull m.test/quay.io/a/b",
    ],
    [
      "DOCKER_HOST=x docker container create 'redis:8'",
      "DOCKER_HOST=x docker container create 'm.test/docker.io/library/redis:8'",
    ],
    [
      "crictl pull registry.corp.test/x; crictl pull ghcr.io/a/b",
      "crictl pull registry.corp.test/x; crictl pull m.test/ghcr.io/a/b",
    ],
    ["ctr -n k8s.io images pull ghcr.io/a/b:1", "ctr -n k8s.io images pull m.test/ghcr.io/a/b:1"],
    [
      "skopeo copy docker://nginx:1 docker://registry.corp.test/nginx:1",
      "skopeo copy docker://m.test/docker.io/library/nginx:1 docker://registry.corp.test/nginx:1",
    ],
    ["skopeo inspect docker://ghcr.io/a/b", "skopeo inspect docker://m.test/ghcr.io/a/b"],
    [
      "kubectl run web --image=nginx:1 --port 80",
      "kubectl run web --image=m.test/docker.io/library/nginx:1 --port 80",
    ],
    ["helm pull oci://ghcr.io/a/chart --version 1", "helm pull oci://m.test/ghcr.io/a/chart --version 1"],
    [
      "docker pull nginx\nghcr.io/a/b:1\n  quay.io/a/c\nmake\n./run.sh\nC:\\x",
      "docker pull m.test/docker.io/library/nginx\nm.test/ghcr.io/a/b:1\n  m.test/quay.io/a/c\nmake\n./run.sh\nC:\\x",
    ],
    ["docker run nginx \\\n  redis:8", "docker run m.test/docker.io/library/nginx \\\n  redis:8"],
  ])("%s", (text, expected) => {
    expect(rewritten(text)).toBe(expected);
  });

  test("of another kind is left alone", () => {
    for (const text of [
      "docker ps -a",
      "docker exec -it web sh",
      "docker build -t nginx .",
      "docker volume create data",
    ]) {
      expect(rewritten(text)).toBe(text);
    }
  });
});

test("a Dockerfile: base images, what is copied and mounted, the frontend; no stages and no variables", () => {
  const text = `# syntax=docker/dockerfile:1
ARG BASE=debian:12
ARG VERSION=22
FROM --platform=$BUILDPLATFORM golang:1.24 AS build
RUN --mount=type=bind,from=ghcr.io/a/tools:1,target=/t make
FROM node:\${VERSION}-alpine as web
FROM \${BASE}
COPY --from=build /app /app
COPY --from=0 /x /x
COPY --chown=1:1 --from=busybox:1 /bin/sh /sh
FROM scratch
FROM build
# FROM commented
`;
  expect(rewritten(text)).toBe(
    text
      .replace("syntax=docker/dockerfile:1", "syntax=m.test/docker.io/docker/dockerfile:1")
      .replace("BASE=debian:12", "BASE=m.test/docker.io/library/debian:12")
      .replace("golang:1.24", "m.test/docker.io/library/golang:1.24")
      .replace("from=ghcr.io", "from=m.test/ghcr.io")
      .replace("node:$", "m.test/docker.io/library/node:$")
      .replace("busybox:1", "m.test/docker.io/library/busybox:1"),
  );
});

test("a compose file: every image, and nothing else", () => {
  const text = `services:
  web:
    image: nginx:1.27 # the front
    environment:
      IMAGE: redis
      registry: quay.io
  db:
    image: "postgres:\${PG:-17}"
  cache: { image: 'valkey/valkey:8', restart: always }
  built:
    build: .
    image: registry.corp.test/app
  # image: commented
`;
  expect(rewritten(text)).toBe(
    text
      .replace("nginx:1.27", "m.test/docker.io/library/nginx:1.27")
      .replace('"postgres:', '"m.test/docker.io/library/postgres:')
      .replace("'valkey", "'m.test/docker.io/valkey"),
  );
});

test("a Kubernetes manifest, in YAML and in JSON", () => {
  const yaml = `spec:\n  initContainers:\n  - image: busybox\n    name: init\n  containers:\n  - name: web\n    image: quay.io/a/b:1\n`;
  expect(rewritten(yaml)).toBe(
    yaml.replace("busybox", "m.test/docker.io/library/busybox").replace("quay.io", "m.test/quay.io"),
  );
  const json = '{"spec":{"containers":[{"name":"web","image":"nginx:1"},{"image": "quay.io/a/b"}]}}';
  expect(rewritten(json)).toBe(
    json.replace("nginx:1", "m.test/docker.io/library/nginx:1").replace("quay.io", "m.test/quay.io"),
  );
});

test("Helm values: the registry and the repository change, the tag stays", () => {
  const text = `image:
  registry: docker.io
  repository: bitnami/redis
  tag: "8.0"
metrics:
  image:
    repository: quay.io/a/exporter
    tag: v1
sidecar:
  image:
    repository: busybox
    pullPolicy: Always
chart:
  repository: https://charts.example.com
`;
  expect(found(text)).toEqual([
    "docker.io/bitnami/redis:8.0",
    "quay.io/a/exporter:v1",
    "docker.io/library/busybox",
  ]);
  expect(rewritten(text)).toBe(
    text
      .replace("registry: docker.io", "registry: m.test")
      .replace("repository: bitnami/redis", "repository: docker.io/bitnami/redis")
      .replace("quay.io/a", "m.test/quay.io/a")
      .replace("repository: busybox", "repository: m.test/docker.io/library/busybox"),
  );
});

test("CI files: GitLab's image with a name, GitHub's container and docker:// actions", () => {
  const text = `image:\n  name: node:22\njobs:\n  a:\n    container: golang:1\n    steps:\n      - uses: docker://alpine:3\n      - uses: actions/checkout@v5\n`;
  expect(found(text)).toEqual([
    "docker.io/library/node:22",
    "docker.io/library/golang:1",
    "docker.io/library/alpine:3",
  ]);
});

describe("hostile text", () => {
  const words = fc.constantFrom(
    ..."FROM|image:|repository:|registry: |docker run|--from=|$|{|}|{{|}}|\\|\"|'|`|\n|- |@sha256:|:|/|nginx|<script>|https://|%ff|\u202e|\u0000|&a |,|;|#|  ".split(
      "|",
    ),
  );
  const text = fc
    .array(fc.oneof(words, fc.string({ maxLength: 8 })), { maxLength: 60 })
    .map((parts) => parts.join(""));

  test("never throws, and changes nothing but names of images", () => {
    fc.assert(
      fc.property(text, (pasted) => {
        const { images } = extractImages(pasted);
        for (const { start, end, reference } of images) {
          expect(start).toBeLessThan(end);
          expect(end).toBeLessThanOrEqual(pasted.length);
          expect(formatReference(reference)).toMatch(/^[a-z0-9.:-]+\/[a-z0-9._/-]+/);
        }
        expect(rewrite(pasted, images, () => null)).toBe(pasted);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(
    [
      "image: ",
      "a: ",
      "--from=",
      '"',
      "$" + "{",
      "docker run -",
      "{{ ",
      "FROM ",
      "https://a/",
      "\\\n",
      "a/",
      "- ",
      "&a ",
      "{a: {",
    ].flatMap((part) =>
      ["", "FROM x\n", "image: x\n", "docker pull x\n"].map((prefix) => [part, prefix] as const),
    ),
  )("is read in proportion to its length: %j after %j", (part, prefix) => {
    // As long as is read at all: work that grew with the length's square would end in the test's time-out.
    const pasted = prefix + part.repeat(Math.floor((LONGEST_TEXT - prefix.length) / part.length));
    expect(extractImages(pasted).images.length).toBeLessThan(LONGEST_TEXT);
  });

  test("that is too long isn't read", () => {
    expect(extractImages(`nginx ${" ".repeat(LONGEST_TEXT)}`).images).toEqual([]);
  });
});
