// cosign signing in a hosted repository, in both of its formats, and verifying there and through a mirror of it.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { RunningMirror } from "../../scripts/local/mirror.ts";
import { field } from "./support/client.ts";
import { type HostedPlace, hostedPlace } from "./support/hosted.ts";
import { NEWER_CLIENTS, newer } from "./support/newer.ts";
import { CLIENT_DEADLINE, isolated, run } from "./support/process.ts";
import { referenceOf } from "./support/pulls.ts";

/** Within the newer Debian. */
const COSIGN = "/usr/bin/cosign";

describe.skipIf(NEWER_CLIENTS === "")("cosign", () => {
  const image = inject("image");
  const digest = image.index.digest;
  let place: HostedPlace;
  let hosted: RunningMirror;
  let mirror: RunningMirror;

  beforeAll(async () => {
    place = await hostedPlace("cosign");
    hosted = await place.start("hosted", { "docker.io": [inject("registry")] });
    mirror = await place.start("mirror", { "local.test": [`${hosted.url}/hosted`] });
    const { host } = new URL(hosted.url);
    for (const name of ["bundle", "tag"]) {
      const insecure = ["--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", "--quiet"];
      const source = `docker://${host}/${referenceOf("docker.io")}`;
      await run(
        isolated(place.hosts, [
          ...["skopeo", "copy", "--all", ...insecure, source],
          `docker://${host}/hosted/team/${name}:1`,
        ]),
        { deadline: CLIENT_DEADLINE, environment: { HOME: join(place.folder, "home") } },
      );
    }
    for (const key of ["signer", "other"]) {
      await cosign("generate-key-pair", "--output-key-prefix", join(place.folder, key));
    }
  });
  afterAll(() => place?.stop());

  const cosign = (...rest: string[]) =>
    run(newer(place.hosts, [COSIGN, ...rest]), {
      deadline: CLIENT_DEADLINE,
      environment: { HOME: join(place.folder, "home"), COSIGN_PASSWORD: "of the test" },
    });
  // The transparency log is a service on the Internet.
  const sign = (name: string, ...format: string[]) =>
    cosign(
      ...["sign", "--yes", "--key", join(place.folder, "signer.key"), "--allow-http-registry"],
      ...["--tlog-upload=false", "--use-signing-config=false", ...format],
      `${new URL(hosted.url).host}/hosted/team/${name}@${digest}`,
    );
  const verify = (repository: string, key = "signer", ...format: string[]) =>
    cosign(
      ...["verify", "--key", join(place.folder, `${key}.pub`), "--allow-http-registry"],
      ...["--insecure-ignore-tlog", ...format, `${repository}:1`],
    );
  const signedDigest = async (verifying: Promise<string>) =>
    field(JSON.parse(await verifying), 0, "critical", "image", "docker-manifest-digest");

  test.each([
    ["by a referrer", "bundle", [], /failed to verify signature/],
    ["by a tag", "tag", ["--new-bundle-format=false"], /invalid signature/],
  ] as const)("signs %s, and verifies with the key that signed only", async (_how, name, format, refusal) => {
    const repository = `${new URL(hosted.url).host}/hosted/team/${name}`;
    await expect(verify(repository, "signer", ...format)).rejects.toThrow(/no signatures? found/i);
    await sign(name, ...format);
    expect(await signedDigest(verify(repository, "signer", ...format))).toBe(digest);
    await expect(verify(repository, "other", ...format)).rejects.toThrow(refusal);
  });

  test("verifies both through a mirror of the registry, and while the registry is down", async () => {
    const verifyBoth = async () => {
      const base = `${new URL(mirror.url).host}/local.test/team`;
      expect(await signedDigest(verify(`${base}/bundle`))).toBe(digest);
      expect(await signedDigest(verify(`${base}/tag`, "signer", "--new-bundle-format=false"))).toBe(digest);
    };
    await verifyBoth();
    await hosted.stop();
    await verifyBoth();
  });
});
