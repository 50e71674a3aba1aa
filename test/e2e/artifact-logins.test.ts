// crane, oras, regctl and helm logging in to a keyed mirror, each with its own command for it.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { addKey } from "../../src/access/key-changes.ts";
import {
  type ArtifactClients,
  CRANE,
  HELM,
  ORAS,
  packageChart,
  REGCTL,
  startArtifactClients,
} from "./support/artifact-clients.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { tar } from "./support/tar.ts";

const SOURCE = `ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`;
let stage: Stage;
let key = "";

beforeAll(async () => {
  const rights = { allow: ["ghcr.io/*"], deny: [], push: ["hosted/team/*"], expires: null, rate: null };
  const added = await addKey([], "ci", rights);
  key = added.key;
  stage = await startStage(inject("registry"), { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(added.list) });
});
afterAll(() => stage?.stop());

interface Tool {
  name: string;
  program: string;
  login: (host: string) => string[];
  /** Of a folder in the registry. */
  push: (folder: string) => string[];
  /** Of a manifest by its tag. */
  pull: (reference: string) => string[];
}

const TOOLS: Tool[] = [
  {
    name: "crane",
    program: CRANE,
    login: (host) => ["auth", "login", "--username", "ci", "--password", key, host],
    push: (folder) => [
      ...["append", "--insecure", "--oci-empty-base", "--new_layer", "data.tar"],
      ...["--new_tag", `${folder}/crane:1`],
    ],
    pull: (reference) => ["manifest", "--insecure", reference],
  },
  {
    name: "oras",
    program: ORAS,
    login: (host) => ["login", "--plain-http", "--username", "ci", "--password", key, host],
    push: (folder) => ["push", "--plain-http", `${folder}/oras:1`, "data.tar"],
    pull: (reference) => ["manifest", "fetch", "--plain-http", reference],
  },
  {
    name: "regctl",
    program: REGCTL,
    login: (host) => ["registry", "login", "--user", "ci", "--pass", key, host],
    push: (folder) => [
      ...["artifact", "put", "--artifact-type", "application/vnd.test.data"],
      ...["--file", "data.tar", `${folder}/regctl:1`],
    ],
    pull: (reference) => ["manifest", "get", "--format", "raw-body", reference],
  },
];

async function startClients(): Promise<ArtifactClients> {
  const clients = await startArtifactClients(stage.url);
  const content = Buffer.from("content");
  await writeFile(join(clients.folder, "data.tar"), tar([{ type: "file", path: "data", content }]));
  if (REGCTL !== "") {
    await clients.local(REGCTL, "registry", "set", clients.host, "--tls=disabled", "--skip-check");
  }
  return clients;
}

for (const { name, program, login, push, pull } of TOOLS) {
  describe.skipIf(program === "")(name, () => {
    let clients: ArtifactClients;
    beforeAll(async () => {
      clients = await startClients();
    });
    afterAll(() => clients?.stop());

    test("is refused before it logs in", async () => {
      await expect(clients.local(program, ...pull(`${clients.host}/${SOURCE}`))).rejects.toThrow(
        /UNAUTHORIZED|401/i,
      );
      await expect(clients.local(program, ...push(`${clients.host}/hosted/team`))).rejects.toThrow(
        /UNAUTHORIZED|401/i,
      );
    });

    test("logs in with a key, pulls, and pushes where the key may", async () => {
      await clients.local(program, ...login(clients.host));
      const pulled = await clients.use(program, ...pull(`${clients.host}/${SOURCE}`));
      expect(pulled.output).toContain(inject("image").amd64.manifest.digest);
      await clients.use(program, ...push(`${clients.host}/hosted/team`));
      const pushed = await clients.use(program, ...pull(`${clients.host}/hosted/team/${name}:1`));
      expect(JSON.parse(pushed.output)).toMatchObject({ schemaVersion: 2 });
    });

    // crane, oras and helm begin with a HEAD, whose response can't say why.
    test("is refused where the key may not push", async () => {
      await expect(clients.local(program, ...push(`${clients.host}/hosted/other`))).rejects.toThrow(
        /\b403\b/,
      );
    });
  });
}

describe.skipIf(HELM === "")("helm", () => {
  let clients: ArtifactClients;
  beforeAll(async () => {
    clients = await startClients();
    await packageChart(clients, "keyed-chart");
  });
  afterAll(() => clients?.stop());
  const push = (folder: string) => [
    ...["push", "keyed-chart-1.2.3.tgz", `oci://${clients.host}/hosted/${folder}`, "--plain-http"],
  ];

  test("is refused before it logs in, and takes a login only with the key", async () => {
    await expect(clients.local(HELM, ...push("team"))).rejects.toThrow(/UNAUTHORIZED|401/i);
    const login = (password: string) => [
      ...["registry", "login", "--plain-http", "--username", "ci", "--password", password, clients.host],
    ];
    await expect(clients.local(HELM, ...login("not-the-key"))).rejects.toThrow(/UNAUTHORIZED|401|denied/i);
    await clients.use(HELM, ...login(key));
  });

  test("then pushes where the key may, and nowhere else", async () => {
    await clients.use(HELM, ...push("team"));
    const reference = `oci://${clients.host}/hosted/team/keyed-chart`;
    const { output } = await clients.use(HELM, "show", "chart", reference, "--plain-http");
    expect(output).toContain("name: keyed-chart");
    await expect(clients.local(HELM, ...push("other"))).rejects.toThrow(/\b403\b/);
  });
});
