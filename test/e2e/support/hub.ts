// A registry as Docker Hub is one: every request needs a token, which docker-registry itself checks, and blobs are
// redirected to a storage host that refuses requests with a credential.
import { createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, request } from "node:http";
import { pipeline } from "node:stream";
import { makeCertificate } from "./origin.ts";
import { workspace } from "./process.ts";
import { startRegistry } from "./registry.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

export interface Hub {
  upstream: Upstream;
  /** The query of each token request. */
  tokens: URLSearchParams[];
  /** For each request to the storage host: its path, and whether it showed a credential. */
  stored: { path: string; authorized: boolean }[];
  stop(): Promise<void>;
}

const ISSUER = "portolan-e2e";
const SERVICE = "registry.test";

/**
 * @param registry base URL of the one without tokens, which the storage host gives its content from
 * @param storage the folder of that registry's content
 * @param login the only login that may pull; without one, pulls are anonymous
 */
export async function startHub(
  registry: string,
  storage: string,
  login: { username: string; password: string } | null = null,
): Promise<Hub> {
  const { folder, remove } = await workspace("hub");
  const certificate = await makeCertificate(folder, [SERVICE]);
  const issue = await tokenIssuer(certificate);
  const tokens: URLSearchParams[] = [];
  const stored: Hub["stored"] = [];
  /** Tokens that open something. */
  const opening = new Set<string>();

  const realm = await listen((incoming, outgoing) => {
    const query = new URL(incoming.url ?? "/", "http://realm").searchParams;
    tokens.push(query);
    const shown = incoming.headers.authorization;
    const isRight = login && shown === `Basic ${btoa(`${login.username}:${login.password}`)}`;
    if (login && shown !== undefined && !isRight) {
      outgoing.writeHead(401).end();
      return;
    }
    // As Docker Hub does: an unauthorized client gets a token that grants nothing.
    const scopes = !login || isRight ? query.getAll("scope") : [];
    const token = issue(scopes);
    if (scopes.length > 0) opening.add(token);
    outgoing.writeHead(200, { "content-type": "application/json" });
    outgoing.end(JSON.stringify({ token, expires_in: 300 }));
  });
  const storageHost = await listen((incoming, outgoing) => {
    const { url: path = "/", headers } = incoming;
    const authorized = headers.authorization !== undefined;
    stored.push({ path, authorized });
    if (authorized) {
      // As S3 does: a signed URL and a credential together are refused.
      outgoing.writeHead(400).end();
      return;
    }
    const onward = request(new URL(path, registry), { method: incoming.method, headers }, (response) => {
      // A storage host knows nothing of registries' headers.
      const { "docker-content-digest": _, ...rest } = response.headers;
      outgoing.writeHead(response.statusCode ?? 0, { ...rest, "content-type": "binary/octet-stream" });
      pipeline(response, outgoing, () => undefined);
    });
    onward.once("error", () => outgoing.destroy());
    onward.end();
  });
  const guarded = await startRegistry({
    storage,
    auth: {
      token: {
        realm: `${realm.url}/token`,
        service: SERVICE,
        issuer: ISSUER,
        rootcertbundle: certificate.cert,
      },
    },
  });
  const upstream = await startUpstream(guarded.url);
  upstream.interfere = ({ kind, path, text }) =>
    // Only authorized requests are redirected; docker-registry refuses the others.
    kind === "blob" && [...opening].some((token) => text.includes(token))
      ? { status: 307, headers: { location: `${storageHost.url}${path}` } }
      : null;
  return {
    upstream,
    tokens,
    stored,
    stop: async () => {
      await upstream.stop();
      await guarded.stop();
      await realm.stop();
      await storageHost.stop();
      await remove();
    },
  };
}

/** Signs what docker-registry accepts (distribution: "Token Authentication Implementation"). */
async function tokenIssuer(files: {
  key: string;
  cert: string;
}): Promise<(scopes: readonly string[]) => string> {
  const key = createPrivateKey(await readFile(files.key));
  const certificate = new X509Certificate(await readFile(files.cert));
  const header = { typ: "JWT", alg: "ES256", x5c: [certificate.raw.toString("base64")] };
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return (scopes) => {
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => {
      const [type = "", name = "", actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",") };
    });
    const claims = { iss: ISSUER, sub: "", aud: SERVICE, iat: now, nbf: now - 10, exp: now + 300, access };
    const signed = `${encode(header)}.${encode({ ...claims, jti: randomUUID() })}`;
    const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  };
}

async function listen(handler: RequestListener): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
