/** Certificates for servers of tests, each with a private key of its own. */
// What @peculiar/x509 builds on requires it, and requires it first.
import "reflect-metadata";
import { randomUUID } from "node:crypto";
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

export interface TestKeyPair {
  /** PEM. It vouches for itself. */
  certificate: string;
  /** PEM, in PKCS #8. */
  key: string;
}

export interface TestCertificate {
  dns?: readonly string[];
  addresses?: readonly string[];
  /** Days from now; negative ones are past. */
  from?: number;
  until?: number;
  algorithm?: EcKeyGenParams | RsaHashedKeyGenParams;
}

const DAY = 86_400_000;
const P256 = { name: "ECDSA", namedCurve: "P-256" };
export const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};

export async function makeKeyPair({
  dns = ["localhost"],
  addresses = ["127.0.0.1"],
  from = -1,
  until = 30,
  algorithm = P256,
}: TestCertificate = {}): Promise<TestKeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // A name of its own: of two authorities with one name, clients try the first only.
    name: `CN=portolan-test-${randomUUID()}`,
    notBefore: new Date(Date.now() + from * DAY),
    notAfter: new Date(Date.now() + until * DAY),
    signingAlgorithm: { ...algorithm, hash: "SHA-256" },
    keys,
    extensions: [
      new BasicConstraintsExtension(true),
      new SubjectAlternativeNameExtension([
        ...dns.map((value) => ({ type: "dns", value }) as const),
        ...addresses.map((value) => ({ type: "ip", value }) as const),
      ]),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${key.replaceAll(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`,
  };
}
