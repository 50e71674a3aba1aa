// Real clients against a mirror that serves https itself, before and after its certificate is renewed.
import { cp, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { DOMAIN } from "./support/mirror.ts";
import { makeCertificate } from "./support/origin.ts";
import { CLIENT_DEADLINE, isolated, run, waitFor, workspace } from "./support/process.ts";
import { referenceOf } from "./support/pulls.ts";

const image = inject("image");

let place: Awaited<ReturnType<typeof workspace>>;
let mirror: RunningMirror;
let messages: string[];
/** As clients name the mirror. */
let host: string;
/** A folder with the authorities that clients trust: every certificate that the mirror has had. */
let trusted: string;

beforeAll(async () => {
  place = await workspace("tls");
  trusted = join(place.folder, "trusted");
  await mkdir(trusted);
  const tls = await renew();
  messages = [];
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(place.folder, "data"),
    upstreams: { "docker.io": [inject("registry")], "ghcr.io": [inject("registry")] },
    insecure: ["docker.io", "ghcr.io"],
    vars: { DOMAIN },
    tls,
    onMessage: ({ text }) => messages.push(text),
  });
  host = `${DOMAIN}:${mirror.port}`;
});
afterAll(async () => {
  await mirror?.stop();
  await place?.remove();
});

/** Puts a new pair where the mirror looks for it. @returns the paths of both files. */
async function renew(): Promise<{ certificate: string; key: string }> {
  const files = { certificate: join(place.folder, "mirror.pem"), key: join(place.folder, "mirror.key") };
  const { cert, key } = await makeCertificate(place.folder, [DOMAIN]);
  await writeFile(join(trusted, "ca.crt"), await readFile(cert), { flag: "a" });
  await rename(cert, files.certificate);
  await rename(key, files.key);
  return files;
}

/** skopeo, which trusts what the mirror has had and no other authority of this machine's. */
function skopeoCopy(...rest: string[]): Promise<string> {
  return run(isolated(place.hosts, ["skopeo", "--insecure-policy", "copy", "--all", "--quiet", ...rest]), {
    deadline: CLIENT_DEADLINE,
    environment: { HOME: join(place.folder, "home") },
  });
}

describe("skopeo", () => {
  test("pulls by https, pushes and pulls what it pushed", async () => {
    const certificates = (side: string) => [`--${side}-cert-dir`, trusted];
    const layout = `oci:${join(place.folder, "layout")}:pulled`;
    const hosted = `docker://${host}/hosted/team/image:1`;
    await skopeoCopy(...certificates("src"), `docker://${host}/${referenceOf("ghcr.io")}`, layout);
    await skopeoCopy(...certificates("dest"), layout, hosted);
    await skopeoCopy(...certificates("src"), hosted, `oci:${join(place.folder, "again")}:pulled`);
    for (const folder of ["layout", "again"]) {
      const index = JSON.parse(await readFile(join(place.folder, folder, "index.json"), "utf8"));
      expect(index.manifests[0].digest).toBe(image.index.digest);
    }
  });

  test("refuses a mirror whose certificate it doesn't trust", async () => {
    const layout = `oci:${join(place.folder, "none")}:none`;
    const refused = skopeoCopy(`docker://${host}/${referenceOf("ghcr.io")}`, layout);
    await expect(refused).rejects.toThrow("certificate signed by unknown authority");
  });
});

describe("dockerd", () => {
  const reference = referenceOf("docker.io");
  let docker: Dockerd;

  beforeAll(async () => {
    docker = await startDockerd(`https://${host}`, { SSL_CERT_FILE: join(trusted, "ca.crt") });
  });
  afterAll(() => docker?.stop());

  test("pulls from it as a registry mirror", async () => {
    const { index, amd64, verdict } = image;
    expect(await docker.pull(reference)).toEqual({ digest: index.digest, config: amd64.config.digest });
    expect(await docker.run(reference)).toBe(verdict);
  });
});

test("a renewed certificate is what clients are served with, and the one before isn't", async () => {
  const outdated = join(place.folder, "outdated");
  await cp(trusted, outdated, { recursive: true });
  await renew();
  const isTaken = async () => messages.some((text) => text.includes("new connections are served with"));
  await waitFor("the renewed certificate to be served", 20_000, isTaken);
  const pull = (folder: string) =>
    skopeoCopy(
      "--src-cert-dir",
      folder,
      `docker://${host}/${referenceOf("ghcr.io")}`,
      `oci:${folder}/pulled:1`,
    );
  await pull(trusted);
  await expect(pull(outdated)).rejects.toThrow("certificate signed by unknown authority");
});
