// crane, oras, regctl and helm pushing to hosted repositories, and pulling back what they pushed.
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  type ArtifactClients,
  CRANE,
  HELM,
  linesOf,
  ORAS,
  packageChart,
  REGCTL,
  startArtifactClients,
} from "./support/artifact-clients.ts";
import { field, text } from "./support/client.ts";
import { DOCKER_TAG, REPOSITORIES, TAG } from "./support/global.ts";
import { sha256 } from "./support/image.ts";
import { partsOf, readLayout } from "./support/layout.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { tar } from "./support/tar.ts";

const image = inject("image");
/** Where the mirror has an image with two tags. */
const SOURCE = `docker.io/${REPOSITORIES["docker.io"]}`;
const MIB = 1024 * 1024;
let stage: Stage;
let clients: ArtifactClients;

beforeAll(async () => {
  stage = await startStage(inject("registry"));
  clients = await startArtifactClients(stage.url);
});
afterAll(async () => {
  await clients?.stop();
  await stage?.stop();
});

const hosted = (name: string) => `${clients.host}/hosted/${name}`;
const inFolder = (name: string) => join(clients.folder, name);

async function digestAt(name: string, reference: string): Promise<string | null> {
  const url = `${stage.url}/v2/hosted/${name}/manifests/${reference}`;
  return (await fetch(url, { method: "HEAD" })).headers.get("docker-content-digest");
}

/** What a client printed as JSON. */
async function json(running: Promise<{ output: string }>): Promise<unknown> {
  return JSON.parse((await running).output);
}

/** An image with one layer, which crane makes and pushes. */
async function pushImage(name: string, tag: string): Promise<void> {
  const layer = tar([{ type: "file", path: "noise", content: randomBytes(3 * MIB + 5) }]);
  await writeFile(inFolder("layer.tar"), layer);
  const target = `${hosted(name)}:${tag}`;
  await clients.use(
    CRANE,
    ...["append", "--insecure", "--oci-empty-base", "--new_layer", "layer.tar", "--new_tag", target],
  );
}

describe.skipIf(CRANE === "")("crane", () => {
  const copyAllTags = async (from: string, to: string) => {
    const { requests } = await clients.use(CRANE, "copy", "--insecure", "--all-tags", from, hosted(to));
    expect(await digestAt(to, TAG)).toBe(image.index.digest);
    expect(await digestAt(to, DOCKER_TAG)).toBe(image.docker.index.digest);
    return linesOf(requests);
  };

  test("copies all tags of a mirrored repository, indexes included", async () => {
    await copyAllTags(`${clients.host}/${SOURCE}`, "team/crane");
  });

  test.each([
    ["what the mirror has pulled", () => `${clients.host}/${SOURCE}`, "team/again"],
    ["what is hosted", () => hosted("team/crane"), "team/mounted"],
  ] as const)("copies %s without sending a blob", async (_what, from, to) => {
    const requests = await copyAllTags(from(), to);
    expect(requests).toMatch(/^POST \S+mount=sha256/m);
    expect(requests).not.toMatch(/^(PATCH|PUT) \S+\/blobs\//m);
  });

  test("pulls the copied index back with all its platforms", async () => {
    const layout = inFolder("copied");
    await clients.use(CRANE, "pull", "--insecure", "--format=oci", `${hosted("team/crane")}:${TAG}`, layout);
    const everything = [image.index.digest, ...partsOf(image.amd64), ...partsOf(image.arm64)];
    expect(await readLayout(layout)).toEqual({
      digest: image.index.digest,
      blobs: [...new Set(everything)].sort(),
    });
  });

  test("pushes an image that it has made, and pulls it back", async () => {
    await pushImage("team/made", "1");
    const layout = inFolder("made");
    const reference = `${hosted("team/made")}:1`;
    const manifest = await json(clients.use(CRANE, "manifest", "--insecure", reference));
    await clients.use(CRANE, "pull", "--insecure", "--format=oci", reference, layout);
    const { digest, blobs } = await readLayout(layout);
    expect(digest).toBe(await digestAt("team/made", "1"));
    expect(blobs).toEqual(
      [digest, text(manifest, "config", "digest"), text(manifest, "layers", 0, "digest")].sort(),
    );
  });

  test("lists and deletes tags", async () => {
    const repository = hosted("team/made");
    await clients.use(CRANE, "tag", "--insecure", `${repository}:1`, "2");
    expect((await clients.use(CRANE, "ls", "--insecure", repository)).output.split("\n")).toContain("2");
    await clients.use(CRANE, "delete", "--insecure", `${repository}:2`);
    expect((await clients.use(CRANE, "ls", "--insecure", repository)).output.trim()).toBe("1");
  });
});

describe.skipIf(ORAS === "")("oras", () => {
  const artifact = randomBytes(2 * MIB + 3);
  const report = JSON.stringify({ findings: 0 });
  const reference = () => `${hosted("team/artifact")}:1`;

  test("pushes an artifact, and pulls it back", async () => {
    await writeFile(inFolder("data.bin"), artifact);
    const type = ["--artifact-type", "application/vnd.test.data"];
    const file = "data.bin:application/octet-stream";
    const pushed = await json(
      clients.use(ORAS, "push", "--plain-http", ...type, "--format", "json", reference(), file),
    );
    expect(text(pushed, "digest")).toBe(await digestAt("team/artifact", "1"));
    await clients.use(ORAS, "pull", "--plain-http", "--output", "pulled", reference());
    expect(sha256(await readFile(inFolder("pulled/data.bin")))).toBe(sha256(artifact));
  });

  test("attaches a report through the referrers API, discovers it by its type, and pulls it", async () => {
    await writeFile(inFolder("report.json"), report);
    const attach = async (type: string) => {
      const options = ["--plain-http", "--artifact-type", type, "--format", "json"];
      const { output, requests } = await clients.use(ORAS, "attach", ...options, reference(), "report.json");
      // A registry without the API gets a tag that lists referrers.
      expect(linesOf(requests)).not.toMatch(/^PUT \S+\/manifests\/sha256-/m);
      return text(JSON.parse(output), "digest");
    };
    const attached = await attach("application/vnd.test.report");
    await attach("application/vnd.test.other");
    const type = ["--artifact-type", "application/vnd.test.report"];
    const found = await json(
      clients.use(ORAS, "discover", "--plain-http", ...type, "--format", "json", reference()),
    );
    expect(field(found, "referrers")).toMatchObject([
      { digest: attached, artifactType: "application/vnd.test.report" },
    ]);
    const byDigest = `${hosted("team/artifact")}@${attached}`;
    await clients.use(ORAS, "pull", "--plain-http", "--output", "attached", byDigest);
    expect(await readFile(inFolder("attached/report.json"), "utf8")).toBe(report);
  });

  test("copies an artifact with its referrers to another repository", async () => {
    const target = `${hosted("team/promoted")}:1`;
    await clients.use(
      ORAS,
      ...["copy", "--recursive", "--from-plain-http", "--to-plain-http", reference(), target],
    );
    const discover = async (name: string) => {
      const found = await json(clients.use(ORAS, "discover", "--plain-http", "--format", "json", name));
      const referrers = field(found, "referrers");
      return Array.isArray(referrers) ? referrers.map((each) => text(each, "digest")).sort() : [];
    };
    const copied = await discover(target);
    expect(copied).toHaveLength(2);
    expect(copied).toEqual(await discover(reference()));
  });
});

describe.skipIf(REGCTL === "")("regctl", () => {
  test("pushes a blob in chunks, and pulls the same back", async () => {
    const data = randomBytes(5 * MIB + 7);
    await writeFile(inFolder("chunked.bin"), data);
    await clients.use(
      REGCTL,
      ...["registry", "set", clients.host, "--tls=disabled", `--blob-chunk=${MIB}`, `--blob-max=${MIB}`],
    );
    const type = ["--artifact-type", "application/vnd.test.data"];
    const target = `${hosted("team/regctl")}:1`;
    const { requests } = await clients.use(
      REGCTL,
      ...["artifact", "put", ...type, "--file", "chunked.bin", target],
    );
    const ranges = requests
      .filter(({ method }) => method === "PATCH")
      .map((request) => /^content-range\n(\S+)/im.exec(request.text)?.[1]);
    expect(ranges).toHaveLength(6);
    expect(ranges.at(-1)).toBe(`${5 * MIB}-${5 * MIB + 6}`);
    const layout = inFolder("regctl");
    await clients.use(REGCTL, "image", "copy", target, `ocidir://${layout}:1`);
    const pulled = await readLayout(layout);
    expect(pulled.digest).toBe(await digestAt("team/regctl", "1"));
    expect(pulled.blobs).toContain(sha256(data));
  });
});

describe.skipIf(HELM === "")("helm", () => {
  test("pushes a chart, finds it by a range of versions, and pulls it back", async () => {
    const chart = await packageChart(clients, "hosted-chart");
    await clients.use(HELM, "push", "hosted-chart-1.2.3.tgz", `oci://${hosted("charts")}`, "--plain-http");
    const reference = `oci://${hosted("charts/hosted-chart")}`;
    const { output } = await clients.use(
      HELM,
      ...["show", "chart", reference, "--version", "^1.0.0", "--plain-http"],
    );
    expect(output).toContain("version: 1.2.3");
    await mkdir(inFolder("charts"));
    await clients.use(
      HELM,
      ...["pull", reference, "--version", "1.2.3", "--plain-http", "--destination", "charts"],
    );
    expect(await readFile(inFolder("charts/hosted-chart-1.2.3.tgz"))).toEqual(chart);
  });
});

describe.skipIf(CRANE === "" || ORAS === "")("signatures as cosign stores them", () => {
  const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
  const SIGNATURE = "dev.cosignproject.cosign/signature";
  const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  let subject = "";
  let payload = "";

  beforeAll(async () => {
    await pushImage("team/signed", "1");
    subject = (await digestAt("team/signed", "1")) ?? "";
    payload = JSON.stringify({
      critical: {
        identity: { "docker-reference": hosted("team/signed") },
        image: { "docker-manifest-digest": subject },
        type: "cosign container image signature",
      },
    });
    await writeFile(inFolder("payload.json"), payload);
  });

  test("by tag: oras pushes it, crane copies it with the image, and it verifies there", async () => {
    const tag = `${subject.replace(":", "-")}.sig`;
    const signature = sign("sha256", Buffer.from(payload), privateKey).toString("base64");
    await writeFile(
      inFolder("annotations.json"),
      JSON.stringify({ "payload.json": { [SIGNATURE]: signature } }),
    );
    await clients.use(
      ORAS,
      ...["push", "--plain-http", "--annotation-file", "annotations.json", `${hosted("team/signed")}:${tag}`],
      `payload.json:${SIMPLE_SIGNING}`,
    );
    await clients.use(
      CRANE,
      ...["copy", "--insecure", "--all-tags", hosted("team/signed"), hosted("team/released")],
    );
    expect(await digestAt("team/released", "1")).toBe(subject);
    const released = hosted("team/released");
    const manifest = await json(clients.use(CRANE, "manifest", "--insecure", `${released}:${tag}`));
    const layer = `${released}@${text(manifest, "layers", 0, "digest")}`;
    const { output } = await clients.use(CRANE, "blob", "--insecure", layer);
    const annotation = Buffer.from(text(manifest, "layers", 0, "annotations", SIGNATURE), "base64");
    expect(verify("sha256", Buffer.from(output), publicKey, annotation)).toBe(true);
    expect(text(JSON.parse(output), "critical", "image", "docker-manifest-digest")).toBe(subject);
  });

  test("by referrer: oras attaches it to the image, and it is found by the image's digest", async () => {
    await writeFile(inFolder("bundle.json"), JSON.stringify({ mediaType: BUNDLE, payload }));
    const image = `${hosted("team/signed")}@${subject}`;
    await clients.use(
      ORAS,
      ...["attach", "--plain-http", "--artifact-type", BUNDLE, image, `bundle.json:${BUNDLE}`],
    );
    const found = await json(
      clients.use(
        ORAS,
        ...["discover", "--plain-http", "--artifact-type", BUNDLE, "--format", "json"],
        image,
      ),
    );
    expect(field(found, "referrers")).toHaveLength(1);
    const bundle = `${hosted("team/signed")}@${text(found, "referrers", 0, "digest")}`;
    const manifest = await json(clients.use(CRANE, "manifest", "--insecure", bundle));
    expect(text(manifest, "subject", "digest")).toBe(subject);
    await clients.use(ORAS, "pull", "--plain-http", "--output", "bundle", bundle);
    expect(await readFile(inFolder("bundle/bundle.json"), "utf8")).toContain(subject);
  });
});
