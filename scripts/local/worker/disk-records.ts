/** The local implementation of the KV namespace: one file per record, and the part of KV's interface that is used. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { StoreEnv } from "./store-env.ts";

export class DiskRecords extends WorkerEntrypoint<StoreEnv> {
  async get(key: string): Promise<string | null> {
    const response = await this.env.RECORD_FILES.fetch(`http://records/${await pathOf(key)}`);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`the disk answered ${response.status}`);
    return response.text();
  }

  /** Of KV's interface, with the last key as cursor. Keys that were too long for a file name aren't listed. */
  async list({ prefix, limit, cursor = "" }: { prefix: string; limit: number; cursor?: string }) {
    const folder = encodeURIComponent(prefix);
    const response = await this.env.WRITER.fetch(`http://writer/records?prefix=${folder}`);
    if (!response.ok) throw new Error(await response.text());
    const entries: { key: string }[] = await response.json();
    const keys = entries
      .flatMap(({ key }) => keyOf(key) ?? [])
      .sort()
      .filter((key) => key > cursor);
    const page = keys.slice(0, limit);
    return {
      keys: page.map((name) => ({ name })),
      list_complete: page.length === keys.length,
      cursor: page.at(-1) ?? "",
    };
  }

  put(key: string, value: string): Promise<void> {
    return this.#write(key, { method: "PUT", body: value });
  }

  delete(key: string): Promise<void> {
    return this.#write(key, { method: "DELETE" });
  }

  async #write(key: string, init: RequestInit): Promise<void> {
    const response = await this.env.WRITER.fetch(`http://writer/records/${await pathOf(key)}`, init);
    if (!response.ok) throw new Error(await response.text());
  }
}

/** Bytes of the longest file name that file systems accept. */
const LONGEST_NAME = 255;

/**
 * The file of a key. It is stored in a folder `_`, so that the tag `b` of `a` doesn't collide with the repository `a/b`;
 * characters that a file system could treat specially, upper case among them, are encoded by number.
 */
async function pathOf(key: string): Promise<string> {
  const components = await Promise.all(key.split("/").map(spelled));
  const name = components.pop() ?? "";
  return [...components, "_", name].join("/");
}

/** The key of a file; null for one that only its digest names. */
function keyOf(path: string): string | null {
  const components = path.split("/");
  if (components.at(-2) !== "_" || path.includes("=sha256-")) return null;
  components.splice(-2, 1);
  return components.map(unspelled).join("/");
}

function unspelled(name: string): string {
  return decodeURIComponent(name.replaceAll("%", "%25").replaceAll("=", "%"));
}

async function spelled(component: string): Promise<string> {
  const name = component.replace(/^[._]|[^a-z0-9._-]/g, (character) =>
    [...encoder.encode(character)].map((byte) => `=${hex(byte)}`).join(""),
  );
  if (name.length <= LONGEST_NAME) return name;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(component)));
  return `=sha256-${[...digest].map(hex).join("")}`;
}

const encoder = new TextEncoder();

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
