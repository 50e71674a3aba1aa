/** A certificate and its key: what is refused, with which remedy, and in which form workerd is given the rest. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  certifiedUrl,
  type KeyPair,
  problemAt,
  readKeyPair,
  shownCertificate,
} from "../../../scripts/local/certificate.ts";
import { makeKeyPair, RSA, type TestCertificate, type TestKeyPair } from "../../support/node/certificate.ts";

const NOW = new Date();

let folder: string;
let one: TestKeyPair;
let other: TestKeyPair;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-certificate-"));
  [one, other] = await Promise.all([makeKeyPair(), makeKeyPair()]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(certificate: string, key: string): Promise<KeyPair> {
  const files = { certificate: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  await Promise.all([writeFile(files.certificate, certificate), writeFile(files.key, key)]);
  return readKeyPair(files);
}

async function pairFor(settings: TestCertificate): Promise<KeyPair> {
  const { certificate, key } = await makeKeyPair(settings);
  return read(certificate, key);
}

function exported(key: string, options: { type: "sec1" | "pkcs1" | "pkcs8"; passphrase?: string }): string {
  const { type, passphrase } = options;
  const cipher = passphrase === undefined ? {} : { cipher: "aes-128-cbc", passphrase };
  return String(createPrivateKey(key).export({ type: type as "pkcs8", format: "pem", ...cipher }));
}

describe("a pair that can't be used is refused:", () => {
  test.each<[what: string, pair: () => [certificate: string, key: string], message: RegExp]>([
    [
      "a key of another certificate",
      () => [one.certificate, other.key],
      /--tls-key: \S+key\.pem isn't the key of/,
    ],
    [
      "a chain that begins with an authority",
      () => [other.certificate + one.certificate, one.key],
      /--tls-cert: \S+cert\.pem must begin with the server's certificate/,
    ],
    [
      "no certificate",
      () => ["\0\x01", one.key],
      /--tls-cert: \S+cert\.pem has no certificate .*openssl x509/,
    ],
    ["the options swapped", () => [one.key, one.certificate], /--tls-key: \S+key\.pem has no private key/],
    ["the key twice", () => [one.key, one.key], /--tls-cert: .* the two options swapped/],
    ["no key", () => [one.certificate, ""], /--tls-key: \S+key\.pem has no private key in PEM format/],
    [
      "a key with a passphrase",
      () => [one.certificate, exported(one.key, { type: "pkcs8", passphrase: "secret" })],
      /--tls-key: \S+key\.pem has a passphrase; openssl pkey -in/,
    ],
    [
      "a key with a passphrase, in the older form",
      () => [one.certificate, exported(one.key, { type: "sec1", passphrase: "secret" })],
      /--tls-key: \S+key\.pem has a passphrase/,
    ],
    [
      "half a certificate",
      () => [one.certificate.replace(/\n.{40}/, "\n"), one.key],
      /--tls-cert: .* is damaged/,
    ],
    ["half a key", () => [one.certificate, one.key.replace(/\n.{40}/, "\n")], /--tls-key: .* is damaged/],
  ])("%s", async (_, pair, message) => {
    const refused = read(...pair()).then(
      () => "taken",
      (error: Error) => error.message,
    );
    expect(await refused).toMatch(message);
    expect(await refused).not.toContain("\n");
  });

  test.each([
    ["RSA with too few bits", () => generateKeyPairSync("rsa", { modulusLength: 1024 })],
    ["RSA-PSS", () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 })],
    ["a curve that TLS servers don't use", () => generateKeyPairSync("ec", { namedCurve: "secp521r1" })],
    ["Ed448", () => generateKeyPairSync("ed448")],
  ])("a key that workerd can't serve with: %s", async (_, generate) => {
    const key = String(generate().privateKey.export({ type: "pkcs8", format: "pem" }));
    await expect(read(one.certificate, key)).rejects.toThrow(
      /--tls-key: \S+key\.pem has a kind of key that isn't supported; use RSA with 2048 to 4096 bits/,
    );
  });

  test("files that aren't there", async () => {
    const files = { certificate: join(folder, "none.pem"), key: join(folder, "none.key") };
    await expect(readKeyPair(files)).rejects.toThrow(/--tls-cert must be a file that can be read: ENOENT/);
  });
});

describe("a pair that can be used", () => {
  test.each<[what: string, type: "sec1" | "pkcs1", settings: TestCertificate]>([
    ["elliptic curves", "sec1", {}],
    ["RSA", "pkcs1", { algorithm: RSA }],
  ])("has its key in PKCS #8, whatever the file has: %s", async (_, type, settings) => {
    const made = await makeKeyPair(settings);
    const older = exported(made.key, { type });
    expect(older).not.toContain("BEGIN PRIVATE KEY");
    const { privateKey, certificate } = await read(made.certificate, older);
    expect(privateKey).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(certificate.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
  });

  test("keeps the chain in its order, without the text around it", async () => {
    const { certificateChain } = await read(
      `Bag Attributes\n${one.certificate}# ca\n${other.certificate}`,
      one.key,
    );
    const expected = [one, other].map(({ certificate }) => String(new X509Certificate(certificate))).join("");
    expect(certificateChain).toBe(expected);
  });

  test("is refused by clients before and after its time only", async () => {
    expect(problemAt(NOW, await pairFor({}))).toBeNull();
    expect(problemAt(NOW, await pairFor({ from: -9, until: -2 }))).toMatch(/^it expired on \d{4}-\d\d-\d\d$/);
    expect(problemAt(NOW, await pairFor({ from: 2 }))).toMatch(/^it isn't valid before /);
  });

  test("is shown by its names and its end", async () => {
    const pair = await pairFor({ dns: ["mirror.example.com", "*.example.com"], addresses: ["192.168.1.10"] });
    expect(shownCertificate(pair)).toMatch(
      /^mirror\.example\.com, \*\.example\.com, 192\.168\.1\.10 until \d{4}-\d\d-\d\d$/,
    );
  });
});

test.each<[url: string, settings: TestCertificate, shown: string]>([
  ["https://127.0.0.1:8787", {}, "https://127.0.0.1:8787"],
  ["https://localhost:8787", {}, "https://localhost:8787"],
  ["https://a.example.com:8787", { dns: ["*.example.com"] }, "https://a.example.com:8787"],
  [
    "https://192.168.1.10:8787",
    { dns: ["*.example.com", "mirror.example.com"] },
    "https://mirror.example.com:8787",
  ],
  ["https://[::1]:443", { dns: ["mirror.example.com"] }, "https://mirror.example.com"],
  ["https://192.168.1.10:8787", { dns: ["*.example.com"], addresses: [] }, "https://192.168.1.10:8787"],
])("clients of %s with a certificate for %j are shown %s", async (url, settings, shown) => {
  expect(certifiedUrl(new URL(url), await pairFor(settings))).toBe(shown);
});
