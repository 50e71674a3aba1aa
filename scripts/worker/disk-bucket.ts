/**
 * What stands in for the R2 bucket on one machine: plain files, each named by its key. It offers the part of R2's interface
 * that `cache/r2.ts` uses, with R2's promise: an object is published whole and with its checksum right, or not at all.
 * Miniflare's own simulation keeps that promise too, but takes many times the processor time and hundreds of megabytes.
 */
import { WorkerEntrypoint } from "cloudflare:workers";

interface Env {
  /** The runtime's disk service: GET and HEAD of files and folders. */
  DISK: Fetcher;
  /** `scripts/publish.ts`: PUT, which hashes, and publishes by renaming; and DELETE. The disk service can't rename. */
  FILES: Fetcher;
}

type Stored = Pick<R2Object, "key" | "size" | "uploaded">;

export class DiskBucket extends WorkerEntrypoint<Env> {
  async head(key: string): Promise<Stored | null> {
    const response = await this.env.DISK.fetch(urlOf(key), { method: "HEAD" });
    return response.ok ? stored(key, response) : null;
  }

  /** @throws for a range that lies outside the object, as R2 does. */
  async get(
    key: string,
    options: { range?: R2Range } = {},
  ): Promise<(Stored & { body: ReadableStream | null }) | null> {
    const headers = options.range ? { Range: rangeHeader(options.range) } : {};
    const response = await this.env.DISK.fetch(urlOf(key), { headers });
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`the disk answered ${response.status} for ${key}`);
    return { ...stored(key, response), body: response.body };
  }

  /** @throws with R2's number if the checksum is another. */
  async put(
    key: string,
    body: ReadableStream<Uint8Array> | Uint8Array,
    { sha256, sha512 }: { sha256?: string; sha512?: string },
  ): Promise<void> {
    const headers = { "X-Checksum": sha512 === undefined ? `sha256:${sha256}` : `sha512:${sha512}` };
    const response = await this.env.FILES.fetch(urlOf(key), { method: "PUT", headers, body });
    if (response.status === 409) throw new Error(`the checksum of ${key} is another (10037)`);
    if (!response.ok) throw new Error(`${key} can't be written: ${await response.text()}`);
  }

  async delete(keys: string[]): Promise<void> {
    for (const key of keys) await this.env.FILES.fetch(urlOf(key), { method: "DELETE" });
  }

  async list({ prefix }: { prefix: string }): Promise<{ objects: Stored[]; truncated: false }> {
    const objects: Stored[] = [];
    for (const key of await this.#keysBelow(prefix.replace(/\/$/, ""))) {
      const object = await this.head(key);
      if (object) objects.push(object);
    }
    return { objects, truncated: false };
  }

  /** The disk service answers a folder with a list of what is in it. */
  async #keysBelow(folder: string): Promise<string[]> {
    const response = await this.env.DISK.fetch(urlOf(folder));
    if (!response.ok) return [];
    const entries: { name: string; type: string }[] = await response.json();
    const keys: string[] = [];
    for (const { name, type } of entries) {
      const key = `${folder}/${name}`;
      if (type === "directory") keys.push(...(await this.#keysBelow(key)));
      else keys.push(key);
    }
    return keys.sort();
  }
}

export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;

function urlOf(key: string): string {
  return `http://store/${key}`;
}

function stored(key: string, response: Response): Stored {
  const whole = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
  return {
    key,
    size: Number(whole ?? response.headers.get("Content-Length")),
    uploaded: new Date(response.headers.get("Last-Modified") ?? 0),
  };
}

function rangeHeader(range: R2Range): string {
  if ("suffix" in range) return `bytes=-${range.suffix}`;
  const { offset = 0, length } = range;
  return `bytes=${offset}-${length === undefined ? "" : offset + length - 1}`;
}
