/** The synthetic images: noise that no compressor shrinks, determined by a name, and pushed as a publisher would. */
import { type Cipheriv, createCipheriv, createHash } from "node:crypto";
import { request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export interface Blob {
  digest: string;
  size: number;
}

export interface Image {
  repository: string;
  tag: string;
  index: Blob;
  manifest: Blob;
  /** The config, then the layers. */
  blobs: readonly Blob[];
  /** Bytes of all blobs. */
  size: number;
}

const MB = 1_000_000;
/** Bytes; shaped like an application on a base image: a few large layers, some small ones, 150 MB in all. */
export const LARGE_LAYERS = [62, 41, 26, 14, 6, 1].map((size) => size * MB + 4_097);
/** For many clients at once: small, as the number of downloads takes the time. */
export const SMALL_LAYERS = [12, 8, 6, 3, 1].map((size) => size * MB + 4_097);

const PIECE = Buffer.alloc(1024 * 1024);
const TYPE = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
};

/** Makes an image of noise and pushes it: distribution-spec, "Pushing manifests". */
export async function pushImage(
  registry: string,
  repository: string,
  sizes: readonly number[],
): Promise<Image> {
  const base = `${registry}/v2/${repository}`;
  const tag = "1.0";
  const layers: Blob[] = [];
  for (const [n, size] of sizes.entries()) layers.push(await pushNoise(base, `${repository} ${n}`, size));
  // With a name in it, so that no two images share a config: a cold pull has to be cold in all its parts.
  const configBytes = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", author: repository }));
  const config = await pushBlob(base, [configBytes]);
  const manifest = await pushManifest(base, null, TYPE.manifest, {
    schemaVersion: 2,
    mediaType: TYPE.manifest,
    config: { mediaType: TYPE.config, ...config },
    layers: layers.map((layer) => ({ mediaType: TYPE.layer, ...layer })),
  });
  const index = await pushManifest(base, tag, TYPE.index, {
    schemaVersion: 2,
    mediaType: TYPE.index,
    manifests: [{ mediaType: TYPE.manifest, ...manifest, platform: { architecture: "amd64", os: "linux" } }],
  });
  const blobs = [config, ...layers];
  return { repository, tag, index, manifest, blobs, size: blobs.reduce((sum, blob) => sum + blob.size, 0) };
}

/** Pushes one blob of noise, made as it is sent. */
export function pushNoise(base: string, seed: string, size: number): Promise<Blob> {
  return pushBlob(base, noise(seed, size));
}

/** AES in counter mode over zeros. */
function* noise(seed: string, size: number): Generator<Buffer> {
  const key = createHash("sha256").update(seed).digest();
  const cipher: Cipheriv = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  for (let left = size; left > 0; left -= PIECE.length) {
    yield cipher.update(left < PIECE.length ? PIECE.subarray(0, left) : PIECE);
  }
}

async function pushBlob(base: string, pieces: Iterable<Buffer>): Promise<Blob> {
  const hash = createHash("sha256");
  let size = 0;
  const counted = function* (): Generator<Buffer> {
    for (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  };
  const opened = await expectStatus(202, await fetch(`${base}/blobs/uploads/`, { method: "POST" }));
  const location = await upload(new URL(opened.headers.get("location") ?? "", base), counted());
  const digest = `sha256:${hash.digest("hex")}`;
  const end = new URL(location, base);
  end.searchParams.set("digest", digest);
  await expectStatus(201, await fetch(end, { method: "PUT" }));
  return { digest, size };
}

/** Sends the pieces as a body of unknown length and returns the location of the next chunk. */
async function upload(location: URL, pieces: Iterable<Buffer>): Promise<string> {
  const outgoing = request(location, {
    method: "PATCH",
    headers: { "content-type": "application/octet-stream" },
  });
  const answered = new Promise<string>((resolve, reject) => {
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      response.resume();
      const { location: next } = response.headers;
      if (response.statusCode === 202 && next !== undefined) resolve(next);
      else reject(new Error(`push: ${location} responded ${response.statusCode}`));
    });
  });
  await Promise.all([pipeline(Readable.from(pieces, { objectMode: false }), outgoing), answered]);
  return answered;
}

async function pushManifest(
  base: string,
  tag: string | null,
  mediaType: string,
  content: object,
): Promise<Blob> {
  const body = JSON.stringify(content);
  const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
  const headers = { "content-type": mediaType };
  await expectStatus(
    201,
    await fetch(`${base}/manifests/${tag ?? digest}`, { method: "PUT", body, headers }),
  );
  return { digest, size: Buffer.byteLength(body) };
}

async function expectStatus(status: number, response: Response): Promise<Response> {
  if (response.status === status) return response;
  throw new Error(
    `push: ${response.url} answered ${response.status}, not ${status}: ${await response.text()}`,
  );
}
