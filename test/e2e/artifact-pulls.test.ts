// crane, oras, regctl and helm pulling by the mirror's name: cold, warm, and with the upstream stopped.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  type ArtifactClients,
  CRANE,
  HELM,
  ORAS,
  packageChart,
  REGCTL,
  startArtifactClients,
} from "./support/artifact-clients.ts";
import { text } from "./support/client.ts";
import { sha256 } from "./support/image.ts";
import { partsOf, readLayout } from "./support/layout.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { fetches, referenceOf } from "./support/pulls.ts";

const registry = inject("registry");
let stage: Stage;
let clients: ArtifactClients;

/** Each client finds an empty mirror. */
function startAndStop(): void {
  beforeAll(async () => {
    stage = await startStage(registry);
    clients = await startArtifactClients(stage.url);
  });
  afterAll(async () => {
    await clients?.stop();
    await stage?.stop();
  });
}

const PULLERS = [
  {
    name: "crane pull",
    program: CRANE,
    command: (from: string, to: string) => ["pull", "--insecure", "--format", "oci", from, to],
  },
  {
    name: "oras copy",
    program: ORAS,
    command: (from: string, to: string) => ["copy", "--from-plain-http", "--to-oci-layout", from, `${to}:it`],
  },
  {
    name: "regctl image copy",
    program: REGCTL,
    command: (from: string, to: string) => ["image", "copy", from, `ocidir://${to}:it`],
  },
];

for (const { name, program, command } of PULLERS) {
  describe.skipIf(program === "")(`${name}, all platforms`, () => {
    const image = inject("image");
    const everything = [
      ...new Set([image.index.digest, ...partsOf(image.amd64), ...partsOf(image.arm64)]),
    ].sort();
    startAndStop();

    const pull = async () => {
      const layout = join(clients.folder, "layout");
      await rm(layout, { recursive: true, force: true });
      if (program === REGCTL) await clients.local(REGCTL, "registry", "set", clients.host, "--tls=disabled");
      await clients.use(program, ...command(`${clients.host}/${referenceOf("ghcr.io")}`, layout));
      return readLayout(layout);
    };

    test("cold: the copy is the image, and each part of it is fetched from upstream once", async () => {
      expect(await pull()).toEqual({ digest: image.index.digest, blobs: everything });
      await stage.settled();
      const { requests } = stage.upstreams["ghcr.io"];
      expect({ ...fetches(requests, "manifest"), ...fetches(requests, "blob") }).toEqual(
        Object.fromEntries(everything.map((digest) => [digest, 1])),
      );
    });

    test("warm: the same copy without a request upstream", async () => {
      stage.forget();
      expect(await pull()).toEqual({ digest: image.index.digest, blobs: everything });
      expect(stage.upstreams["ghcr.io"].requests).toEqual([]);
    });

    test("upstream stopped: the same copy", async () => {
      await stage.upstreams["ghcr.io"].stop();
      expect(await pull()).toEqual({ digest: image.index.digest, blobs: everything });
    });
  });
}

describe.skipIf(HELM === "")("helm pull", () => {
  let chart: Buffer;
  startAndStop();

  beforeAll(async () => {
    chart = await packageChart(clients, "upstream-chart");
    const target = `oci://${new URL(registry).host}/portolan/charts`;
    await clients.local(HELM, "push", "upstream-chart-1.2.3.tgz", target, "--plain-http");
  });

  const pull = async (version: string) => {
    const to = join(clients.folder, "pulled");
    await rm(to, { recursive: true, force: true });
    await mkdir(to);
    const reference = `oci://${clients.host}/ghcr.io/portolan/charts/upstream-chart`;
    await clients.use(HELM, "pull", reference, "--version", version, "--plain-http", "--destination", to);
    return readFile(join(to, "upstream-chart-1.2.3.tgz"));
  };

  test("cold: the chart is what was packaged, and is fetched from upstream once", async () => {
    expect(await pull("1.2.3")).toEqual(chart);
    const { requests } = stage.upstreams["ghcr.io"];
    expect(fetches(requests, "blob")).toMatchObject({ [sha256(chart)]: 1 });
    expect(Object.values(fetches(requests, "manifest"))).toEqual([1]);
  });

  test("a range of versions is resolved by the list of tags", async () => {
    expect(await pull("^1.0.0")).toEqual(chart);
    expect(stage.upstreams["ghcr.io"].requests.map(({ path }) => path)).toContain(
      "/v2/portolan/charts/upstream-chart/tags/list",
    );
  });

  test("warm: without a request upstream", async () => {
    stage.forget();
    expect(await pull("1.2.3")).toEqual(chart);
    expect(stage.upstreams["ghcr.io"].requests).toEqual([]);
  });

  test("upstream stopped: by its version and by a range", async () => {
    await stage.upstreams["ghcr.io"].stop();
    expect(await pull("1.2.3")).toEqual(chart);
    expect(await pull("^1.0.0")).toEqual(chart);
  });
});

describe.skipIf(ORAS === "")("oras discover", () => {
  const NAME = "portolan/attached";
  const TYPE = "application/vnd.test.report";
  const REPORT = JSON.stringify({ findings: 0 });
  let attached = "";
  startAndStop();

  beforeAll(async () => {
    const upstream = `${new URL(registry).host}/${NAME}:1`;
    await writeFile(join(clients.folder, "data"), "content");
    await writeFile(join(clients.folder, "report.json"), REPORT);
    const push = ["push", "--plain-http", "--artifact-type", "application/vnd.test.data", upstream, "data"];
    await clients.local(ORAS, ...push);
    const attach = ["attach", "--plain-http", "--artifact-type", TYPE, upstream, "report.json"];
    attached = text(JSON.parse(await clients.local(ORAS, ...attach, "--format", "json")), "digest");
  });

  const discoverAndPull = async () => {
    const base = `${clients.host}/ghcr.io/${NAME}`;
    const discover = ["discover", "--plain-http", "--artifact-type", TYPE, "--format", "json", `${base}:1`];
    const { output } = await clients.use(ORAS, ...discover);
    const digest = text(JSON.parse(output), "referrers", 0, "digest");
    const to = join(clients.folder, "pulled");
    await rm(to, { recursive: true, force: true });
    await clients.use(ORAS, "pull", "--plain-http", "--output", to, `${base}@${digest}`);
    return { digest, report: await readFile(join(to, "report.json"), "utf8") };
  };

  test("finds the referrers of an upstream that has only the tag for them, and pulls one", async () => {
    expect(await discoverAndPull()).toEqual({ digest: attached, report: REPORT });
  });

  test("upstream stopped: finds and pulls the same", async () => {
    await stage.upstreams["ghcr.io"].stop();
    expect(await discoverAndPull()).toEqual({ digest: attached, report: REPORT });
  });
});
