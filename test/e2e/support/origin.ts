// The origin that a client goes to when the mirror can't serve it: docker-registry behind TLS, under the real
// registries' names as the clients' hosts file has them (process.ts), with a certificate that they are configured to trust.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ORIGIN_ADDRESS, run, workspace } from "./process.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

export interface Origin {
  requests: Upstream["requests"];
  /** For the client's environment. */
  environment: { SSL_CERT_FILE: string };
  stop(): Promise<void>;
}

export async function startOrigin(registry: string): Promise<Origin> {
  const { folder, remove } = await workspace("origin");
  const certificate = await makeCertificate(folder, ["registry-1.docker.io", "ghcr.io"]);
  const [key, cert] = await Promise.all([
    readFile(certificate.key, "utf8"),
    readFile(certificate.cert, "utf8"),
  ]);
  const server = await startUpstream(registry, { host: ORIGIN_ADDRESS, port: 443, tls: { key, cert } });
  return {
    requests: server.requests,
    environment: { SSL_CERT_FILE: certificate.cert },
    stop: async () => {
      await server.stop();
      await remove();
    },
  };
}

/** A certificate that vouches for itself; returns the paths of its PEM files. */
export async function makeCertificate(
  folder: string,
  names: readonly string[],
): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"],
    ...["-days", "2", "-subj", "/CN=portolan-e2e", "-keyout", key, "-out", cert],
    ...["-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`],
  ]);
  return { key, cert };
}
