/** A certificate and its private key: read, checked before clients meet them, and watched for the next pair. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { type Stats, unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

/** Paths of files in PEM format. */
export interface KeyPairFiles {
  /** The server's certificate first, then those of intermediate authorities. */
  certificate: string;
  key: string;
}

export interface KeyPair {
  /** PEM, the server's certificate first. */
  certificateChain: string;
  /** PEM, in PKCS #8, which is the one form that workerd takes for every kind of key. */
  privateKey: string;
  /** The server's. */
  certificate: X509Certificate;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/** Milliseconds between two looks at the files. */
const INTERVAL = 1_000;
/** Milliseconds for which further changes are waited for: two files can't be replaced at once. */
const SETTLE = 500;

/** @throws Error in one sentence that names the option and the remedy, if the pair can't be used. */
export async function readKeyPair(files: KeyPairFiles): Promise<KeyPair> {
  const chainText = await read("--tls-cert", files.certificate);
  const keyText = await read("--tls-key", files.key);
  const certificates = certificatesIn(chainText, files.certificate);
  const key = keyIn(keyText, files.key);
  const [certificate, ...others] = certificates;
  if (certificate === undefined) {
    throw new Error(
      `--tls-cert: ${files.certificate} has no certificate in PEM format (${chainText.includes("PRIVATE KEY") ? "but a key: are the two options swapped?" : "openssl x509 -inform der -outform pem converts one"})`,
    );
  }
  if (!certificate.checkPrivateKey(key)) {
    throw new Error(
      others.some((other) => other.checkPrivateKey(key))
        ? `--tls-cert: ${files.certificate} must begin with the server's certificate, which has the key ${files.key}; those of its authorities follow`
        : `--tls-key: ${files.key} isn't the key of the certificate in ${files.certificate}; both must be of one pair`,
    );
  }
  return {
    certificateChain: certificates.map(String).join(""),
    privateKey: String(key.export({ type: "pkcs8", format: "pem" })),
    certificate,
  };
}

/** Why clients refuse a certificate at a time, whatever its issuer; null if they don't. */
export function problemAt(
  now: Date,
  { certificate: { validFromDate, validToDate } }: KeyPair,
): string | null {
  if (now > validToDate) return `it expired on ${day(validToDate)}`;
  return now < validFromDate ? `it isn't valid before ${validFromDate.toISOString()}` : null;
}

/** `mirror.example.com, *.example.com until 2027-02-25` */
export function shownCertificate({ certificate }: KeyPair): string {
  return `${namesOf(certificate).join(", ") || certificate.subject} until ${day(certificate.validToDate)}`;
}

/** A URL of the mirror that clients accept with this certificate: with one of its names, if it isn't for the URL's own host. */
export function certifiedUrl(url: URL, { certificate }: Pick<KeyPair, "certificate">): string {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) return url.origin;
  const [name] = hostNamesOf({ certificate });
  const named = new URL(url);
  if (name !== undefined) named.hostname = name;
  return named.origin;
}

/** The host names that a certificate is for, without addresses and wildcards. */
export function hostNamesOf({ certificate }: Pick<KeyPair, "certificate">): string[] {
  const names = namesOf(certificate).map((name) => name.toLowerCase());
  return names.filter(
    (name) => isIP(name) === 0 && !name.includes("*") && URL.parse(`https://${name}`)?.hostname === name,
  );
}

function namesOf({ subjectAltName = "" }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,"\s]+)/g)].map(([, name = ""]) => name);
}

export interface KeyPairWatchOptions {
  files: KeyPairFiles;
  /** What is in use when the watch begins. */
  pair: KeyPair;
  /** Called with each other pair that can be used. The next change waits until it is done. */
  onPair(pair: KeyPair): Promise<void>;
  /** Called when the files can't be used, or `onPair` fails; the pair stays as it was. */
  onProblem(message: string): void;
}

/** @returns a function that ends the watch. */
export function watchKeyPair({ files, pair, onPair, onProblem }: KeyPairWatchOptions): () => void {
  let timer: NodeJS.Timeout | undefined;
  let inUse = pair;
  let reading = Promise.resolve();
  const take = async () => {
    try {
      const next = await readKeyPair(files);
      if (isSame(next, inUse)) return;
      const problem = problemAt(new Date(), next);
      if (problem !== null) throw new Error(`the new one can't be used: ${problem}`);
      await onPair(next);
      inUse = next;
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      reading = reading.then(take);
    }, SETTLE).unref();
  };
  const onStat = (now: Stats, before: Stats) => {
    if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) changed();
  };
  // By looking at them, since certbot and Kubernetes replace links on the way to a file, which no event of its own folder tells.
  const paths = Object.values(files);
  for (const path of paths) watchFile(path, { interval: INTERVAL, persistent: false }, onStat);
  return () => {
    clearTimeout(timer);
    for (const path of paths) unwatchFile(path, onStat);
  };
}

function isSame(one: KeyPair, other: KeyPair): boolean {
  return one.certificateChain === other.certificateChain && one.privateKey === other.privateKey;
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(
      `${option} must be a file that can be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function certificatesIn(text: string, path: string): X509Certificate[] {
  try {
    return (text.match(CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem));
  } catch {
    throw new Error(
      `--tls-cert: ${path} has a certificate that is damaged; write it again, as it was issued`,
    );
  }
}

function keyIn(text: string, path: string): KeyObject {
  if (ENCRYPTED.test(text)) {
    throw new Error(
      `--tls-key: ${path} has a passphrase; openssl pkey -in ${path} -out FILE writes it without`,
    );
  }
  if (!PRIVATE_KEY.test(text)) throw new Error(`--tls-key: ${path} has no private key in PEM format`);
  const key = parsedKey(text, path);
  if (!isSupported(key)) {
    throw new Error(
      `--tls-key: ${path} has a kind of key that isn't supported; use RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519`,
    );
  }
  return key;
}

function parsedKey(text: string, path: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    throw new Error(`--tls-key: ${path} has a private key that is damaged; write it again, as it was issued`);
  }
}

/** Whether workerd can serve with it. */
function isSupported({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  const { modulusLength = 0, namedCurve = "" } = asymmetricKeyDetails;
  if (asymmetricKeyType === "rsa") return modulusLength >= 2048 && modulusLength <= 4096;
  if (asymmetricKeyType === "ec") return ["prime256v1", "secp384r1"].includes(namedCurve);
  return asymmetricKeyType === "ed25519";
}

/** `2027-02-25` */
function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
