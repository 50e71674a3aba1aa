/** What the mirror answers: as a registry at all, to a key, with a manifest, a layer and a part of one. */
import { performance } from "node:perf_hooks";
import * as v from "valibot";
import { parseJson } from "../../src/oci/json.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import type { Environment } from "../../src/registry/proxies.ts";
import { readSmallBlob } from "../image/blobs.ts";
import { blobsOf, entriesOf, type Image, isAttestation, isPlatform } from "../image/image.ts";
import { type ProvenManifest, readAt, readImage } from "../image/read-image.ts";
import type { RegistryClient } from "../registry/client.ts";
import { failureOfError, RegistryFailure } from "../registry/failure.ts";
import type { Logins } from "../registry/logins.ts";
import type { Network } from "../registry/network.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { type RemoteRepository, urlAt } from "../registry/remote.ts";
import { shortDigest, size } from "../terminal/format.ts";
import { bad, type Check, good } from "./check.ts";
import type { Reading } from "./clock.ts";
import { examineHiddenTls, examineSilence } from "./connection.ts";
import { judgePing } from "./ping.ts";
import { judgeRange, type PartResponse } from "./range.ts";

export interface Tools {
  network: Network;
  client: RegistryClient;
  logins: Logins;
  /** Where the proxies' variables are. */
  env: Environment;
}

/** Milliseconds for a short response. */
const DEADLINE = 10_000;
/** Bytes of the largest blob that is downloaded for a look. */
const LARGEST = 8 * 1024 * 1024;

export interface Greeting {
  checks: Check[];
  /** Whether to go on and ask for content. */
  isRegistry: boolean;
  reading: Reading | null;
}

/** Asks `/v2/`. @param elsewhere what to advise where something else answers. */
export async function greet(
  remote: RemoteRepository,
  isHere: boolean,
  { network, client, logins, env }: Tools,
  elsewhere: () => Promise<string>,
): Promise<Greeting> {
  const { host, origin } = remote.endpoint;
  const started = performance.now();
  let response: Response;
  try {
    response = await network.fetch(urlAt(remote, ""), { signal: AbortSignal.timeout(DEADLINE) });
  } catch (error) {
    return { checks: [await examineSilence(remote.endpoint, env, error)], isRegistry: false, reading: null };
  }
  const took = `${Math.max(1, Math.round(performance.now() - started))} ms`;
  const { status, headers } = response;
  const reading = { host, isHere, date: headers.get("date"), at: Date.now() };
  const body = await response.text().catch(() => "");
  const wrong = await judgePing({ status, headers, body }, origin, elsewhere);
  if (wrong !== null) {
    // Servers with TLS response a request without it, if at all, with 400.
    const tls = status === 400 ? await examineHiddenTls(remote.endpoint, env) : null;
    return { checks: [tls ?? wrong], isRegistry: false, reading };
  }
  const name = (await isPortolan(remote, network)) ? "Portolan" : "a registry";
  const ping = good("response", `${name}, /v2/ in ${took}`);
  const key = await examineKey(status, remote, client, logins);
  return { checks: [ping, key], isRegistry: key.state !== "bad", reading };
}

async function examineKey(
  status: number,
  remote: RemoteRepository,
  client: RegistryClient,
  logins: Logins,
): Promise<Check> {
  if (status === 200) return good("key", "none is wanted");
  try {
    await client.ping(remote);
    const login = await logins.loginFor(remote.loginName);
    return good("key", login ? `taken, from ${login.source}` : "none is wanted, anyone gets a token");
  } catch (error) {
    if (!(error instanceof RegistryFailure)) throw error;
    const login = await logins.loginFor(remote.loginName);
    const says = login ? `the one in ${login.source} is refused` : "one is wanted, and none is known here";
    return bad("key", says, `Log in: \`docker login ${remote.loginName}\`, with the key as the password.`);
  }
}

/** Pulls what a client pulls first, by the same questions. */
export async function examineContent(
  remote: RemoteRepository,
  reference: ImageReference,
  platform: string,
  { client }: Tools,
): Promise<Check[]> {
  try {
    return await pull(remote, reference, platform, client);
  } catch (error) {
    if (!(error instanceof RegistryFailure)) throw error;
    return [bad("pull", error.message, "See the mirror's own log for the same request.")];
  }
}

async function pull(
  remote: RemoteRepository,
  reference: ImageReference,
  platform: string,
  client: RegistryClient,
): Promise<Check[]> {
  const name = manifestReference(reference);
  const { response, proven } = await readAt(client, remote, name);
  if (proven === null) {
    const says = "reason" in response ? response.reason : `has no ${formatReference(reference)}`;
    const advice =
      "docs/troubleshooting.md goes through the mirror's answers. If the registry can't be reached, see that the mirror's machine may reach it.";
    return [bad("manifest", says, advice)];
  }
  const manifest = await examineHead(remote, name, proven, client, reference);
  const image = await imageOf(remote, platform, proven, client);
  return [manifest, ...(image === null ? [] : await examineLayer(remote, image, client))];
}

/** Clients rest on these headers of a HEAD: without them, containerd asks once more with GET, and others give up. */
async function examineHead(
  remote: RemoteRepository,
  name: string,
  { content, manifest }: ProvenManifest,
  client: RegistryClient,
  reference: ImageReference,
): Promise<Check> {
  const advice = "Clients need both. If a proxy stands before the mirror, let it pass them on.";
  const heading = await client.head(remote, name);
  if (heading === null)
    return bad(
      "manifest",
      "is given to GET, and 404 to HEAD",
      "Clients ask with HEAD first. Use another mirror.",
    );
  if (heading.digest !== content.digest)
    return bad("manifest", "HEAD lacks the digest (Docker-Content-Digest)", advice);
  if (heading.size !== content.size) return bad("manifest", "HEAD lacks the length (Content-Length)", advice);
  const kind = manifest.kind === "index" ? "an index" : "a manifest";
  return good(
    "manifest",
    `${formatReference(reference)} is ${kind}, ${shortDigest(content.digest)}, with the right bytes`,
  );
}

async function imageOf(
  remote: RemoteRepository,
  platform: string,
  proven: ProvenManifest,
  client: RegistryClient,
): Promise<Image | null> {
  // Any platform will do where this machine's isn't among them.
  const offered = entriesOf(proven.manifest, []).filter(({ entry }) => !isAttestation(entry));
  const chosen = offered.find(({ name }) => isPlatform(name, [platform])) ?? offered[0];
  const { image } = await readImage(
    proven,
    chosen ? [chosen.name] : [],
    (digest) => readAt(client, remote, digest),
    async () => null,
  );
  return image;
}

async function examineLayer(
  remote: RemoteRepository,
  image: Image,
  client: RegistryClient,
): Promise<Check[]> {
  const blob = blobsOf(image)
    .filter((each) => each.size <= LARGEST)
    .toSorted((one, other) => other.size - one.size)[0];
  if (blob === undefined) return [];
  const whole = await readSmallBlob(client, remote, blob);
  if (whole === null) {
    const advice =
      "The manifest comes and a layer doesn't: see the mirror's log, and whether a proxy before it cuts long answers.";
    return [bad("layer", `${shortDigest(blob.digest)} doesn't come whole and right`, advice)];
  }
  const first = Math.floor(whole.length / 2);
  const part = await partOf(remote, blob.digest, `bytes=${first}-`, client);
  return [good("layer", `${size(whole.length)}, with the right bytes`), judgeRange(part, whole, first)];
}

async function partOf(
  remote: RemoteRepository,
  digest: Image["root"]["digest"],
  range: string,
  client: RegistryClient,
): Promise<PartResponse> {
  try {
    const response = await client.blob(remote, digest, { range, signal: AbortSignal.timeout(DEADLINE) });
    const bytes = await readBounded(response, LARGEST, `a part of ${digest}`);
    return { status: response.status, headers: response.headers, bytes };
  } catch (error) {
    const { status } = failureOfError(error, remote.endpoint.host, "");
    return { status, headers: new Headers(), bytes: new Uint8Array() };
  }
}

async function isPortolan({ endpoint }: RemoteRepository, { fetch }: Network): Promise<boolean> {
  try {
    const response = await fetch(new URL("/_/health", endpoint), { signal: AbortSignal.timeout(DEADLINE) });
    const health = parseJson(v.object({ status: v.literal("ok") }), await response.text());
    return response.ok && health !== null;
  } catch {
    return false;
  }
}
