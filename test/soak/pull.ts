/** Pulls as real clients do them: tag, index, manifest, then blobs in parallel, everything verified on arrival. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Blob, Catalogue, Published, Tag } from "./catalogue.ts";
import { type Got, isCached, request, servedBy } from "./client.ts";
import { UNKNOWN_DIGEST } from "./faults.ts";
import type { Ledger, PullEnd } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface Stage {
  catalogue: Catalogue;
  ledger: Ledger;
  /** The mirror's URL; null while it isn't running. */
  url: () => string | null;
}

interface Persona {
  userAgent: string;
  /** The path of an upstream's repository on the mirror, with `rest` appended. */
  address: (upstream: string, repository: string, rest: string) => string;
  sendsHead: boolean;
}

const PERSONAS: readonly Persona[] = [
  {
    userAgent: "containerd/2.1.0",
    address: (upstream, repository, rest) => `/v2/${repository}/${rest}?ns=${upstream}`,
    sendsHead: true,
  },
  {
    userAgent: "docker/28.0.0 go/go1.24 os/linux arch/amd64",
    address: (upstream, repository, rest) => `/v2/${upstream}/${repository}/${rest}`,
    sendsHead: true,
  },
  {
    userAgent: "containers/5.36.0 (github.com/containers/image)",
    address: (upstream, repository, rest) => `/${upstream}/v2/${repository}/${rest}`,
    sendsHead: false,
  },
  {
    userAgent: "curl/8.14.1",
    address: (upstream, repository, rest) => `/v2/${upstream.replaceAll(".", "-")}/${repository}/${rest}`,
    sendsHead: false,
  },
];

const ACCEPT = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Downloads that a client has under way at once. */
const PARALLEL = 3;
const ATTEMPTS = 3;
/** Milliseconds before a client tries again. */
const BETWEEN_ATTEMPTS = 150;
/** The share of blob downloads that a client aborts, and of those, the share that ends the pull. */
const LEAVES = 0.08;
const ENDS_THERE = 0.3;
const RESUMES = 0.12;

/** Ends a pull; its reason has already been recorded. */
class PullEnded extends Error {
  readonly end: PullEnd;
  constructor(end: PullEnd) {
    super(end);
    this.end = end;
  }
}

export class Puller {
  readonly #stage: Stage;
  readonly #random: Random;
  #persona: Persona;

  constructor(stage: Stage, random: Random) {
    this.#stage = stage;
    this.#random = random;
    this.#persona = random.pick(PERSONAS);
  }

  /** Pulls a random image: mostly by tag, sometimes an older one by digest. */
  async pullAny(): Promise<void> {
    const { catalogue, ledger } = this.#stage;
    this.#persona = this.#random.pick(PERSONAS);
    try {
      const tag = this.#random.pick(catalogue.tags);
      const image = this.#random.chance(0.8) ? await this.#resolve(tag) : this.#random.pick(tag.history);
      await this.#image(image);
      ledger.pulls.whole++;
    } catch (error) {
      if (!(error instanceof PullEnded)) throw error;
      ledger.pulls[error.end]++;
    }
  }

  /** Pulls all of an image once. @returns whether all of it arrived. */
  async pullWhole(image: Published): Promise<boolean> {
    try {
      await this.#index(image);
      for (const digest of image.manifests) await this.#manifest(image, digest);
      for (const blob of image.blobs) await this.#blob(image, blob, { mayLeave: false });
      return true;
    } catch (error) {
      if (error instanceof PullEnded) return false;
      throw error;
    }
  }

  /** @returns whether the tag resolves to its current image. */
  async isCurrent(tag: Tag): Promise<boolean> {
    const got = await this.#send(tag, `manifests/${tag.name}`, { headers: { Accept: ACCEPT }, keep: true });
    return got.status === 200 && got.headers.get("docker-content-digest") === tag.history.at(-1)?.target;
  }

  /** Requests a manifest or blob once, verifies it, and returns whether it came from the mirror's cache. */
  async isServedFromCache(image: Published, kind: "manifests" | "blobs", digest: string): Promise<boolean> {
    const got = await this.#send(image, `${kind}/${digest}`, { headers: { Accept: ACCEPT }, keep: false });
    return got.status === 200 && got.ending === "whole" && got.digest === digest && isCached(got);
  }

  async #resolve(tag: Tag): Promise<Published> {
    const { ledger } = this.#stage;
    const known = ledger.newest.get(tag) ?? -1;
    const method = this.#persona.sendsHead && this.#random.chance(0.7) ? "HEAD" : "GET";
    const got = await this.#sendWithRetries(tag, `manifests/${tag.name}`, {
      method,
      headers: { Accept: ACCEPT },
      keep: true,
    });
    const digest = got.headers.get("docker-content-digest");
    const what = `${method} ${tag.upstream}/${tag.repository}:${tag.name}`;
    if (method === "GET" && got.digest !== digest) ledger.noteWrong(got, String(digest), what, "manifest");
    const position = tag.history.findIndex(({ target }) => target === digest);
    const image = tag.history[position];
    if (!image && method === "HEAD" && digest === UNKNOWN_DIGEST) {
      // Without a body there is nothing to verify the upstream's header against.
      ledger.passedOn++;
      throw new PullEnded("failed");
    }
    if (!image) {
      ledger.wrong.push(`${what}: ${digest}, which it never referred to`);
      throw new PullEnded("failed");
    }
    if (position < known)
      ledger.backwards.push(`${what}: from image ${known} back to ${position}, ${servedBy(got)}`);
    ledger.newest.set(tag, Math.max(position, ledger.newest.get(tag) ?? -1));
    return image;
  }

  async #image(image: Published): Promise<void> {
    await this.#index(image);
    const manifest = this.#random.pick(image.manifests);
    const text = await this.#manifest(image, manifest);
    const blobs = image.blobs.filter(({ digest }) => text.includes(digest));
    const queue = [...blobs];
    const work = async (): Promise<void> => {
      for (let blob = queue.shift(); blob; blob = queue.shift()) {
        await this.#blob(image, blob, { mayLeave: true });
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, work));
    for (const each of ended) if (each.status === "rejected") throw each.reason;
  }

  async #index(image: Published): Promise<void> {
    if (image.index !== null) await this.#manifest(image, image.index);
  }

  /** @returns the text of the manifest. */
  async #manifest(image: Published, digest: string): Promise<string> {
    const what = `GET ${image.upstream}/${image.repository}@${digest}`;
    const got = await this.#sendWithRetries(image, `manifests/${digest}`, {
      headers: { Accept: ACCEPT },
      keep: true,
    });
    const named = got.headers.get("docker-content-digest");
    if (got.digest !== digest || named !== digest || !isRightLength(got)) {
      this.#stage.ledger.noteWrong(got, digest, what, "manifest");
      throw new PullEnded("failed");
    }
    return got.bytes.toString();
  }

  async #blob(image: Published, blob: Blob, { mayLeave }: { mayLeave: boolean }): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (mayLeave && this.#random.chance(LEAVES)) await this.#leaveAmid(image, blob);
      const isDone =
        mayLeave && blob.size > 1 && this.#random.chance(RESUMES)
          ? await this.#inParts(image, blob)
          : await this.#inOne(image, blob);
      if (isDone) return;
      if (attempt >= ATTEMPTS) throw new PullEnded("failed");
      await sleep(BETWEEN_ATTEMPTS);
    }
  }

  /** @returns whether it arrived complete and correct; anything else is retried. */
  async #inOne(image: Published, { digest, size }: Blob): Promise<boolean> {
    const got = await this.#sendWithRetries(image, `blobs/${digest}`, {});
    if (got.ending !== "whole") return false;
    if (isCached(got)) this.#stage.ledger.noteStored(digest);
    if (got.digest === digest && got.received === size && isRightLength(got)) return true;
    this.#stage.ledger.noteWrong(got, digest, `GET blob ${digest} of ${size} bytes`, "blob");
    return false;
  }

  /** The beginning and, by a range, the rest: as a client does that resumes. */
  async #inParts(image: Published, { digest, size }: Blob): Promise<boolean> {
    const truth = this.#stage.catalogue.layers.get(digest);
    if (!truth) return this.#inOne(image, { digest, size });
    const middle = 1 + this.#random.below(size - 1);
    for (const [first, end] of [
      [0, middle],
      [middle, size],
    ] as const) {
      const last = end === size && this.#random.chance(0.5) ? "" : end - 1;
      const range = `bytes=${first}-${last}`;
      const got = await this.#sendWithRetries(image, `blobs/${digest}`, {
        headers: { Range: range },
        keep: true,
      });
      if (got.ending !== "whole") return false;
      const expected = got.status === 206 ? truth.subarray(first, end) : truth;
      const contentRange = got.headers.get("content-range");
      const isRight = got.status === 200 || contentRange === `bytes ${first}-${end - 1}/${size}`;
      if (isRight && isRightLength(got) && got.bytes.equals(expected)) continue;
      this.#stage.ledger.noteWrong(got, digest, `GET ${range} of blob ${digest} (${contentRange})`, "blob");
      return false;
    }
    return true;
  }

  async #leaveAmid(image: Published, { digest, size }: Blob): Promise<void> {
    await this.#send(image, `blobs/${digest}`, { leaveAfter: this.#random.below(size) });
    if (this.#random.chance(ENDS_THERE)) throw new PullEnded("left");
  }

  /** As a client that retries before it gives up. */
  async #sendWithRetries(
    target: RepositoryName,
    rest: string,
    options: Parameters<typeof request>[1] = {},
  ): Promise<Got> {
    for (let attempt = 1; ; attempt++) {
      const got = await this.#send(target, rest, options);
      if ((got.status === 200 || got.status === 206) && got.ending !== "unreachable") {
        if (got.ending === "whole" || rest.startsWith("blobs/")) return got;
      }
      if (got.ending === "unreachable" || this.#stage.url() === null) throw new PullEnded("interrupted");
      if (attempt >= ATTEMPTS) throw new PullEnded("failed");
      await sleep(BETWEEN_ATTEMPTS);
    }
  }

  async #send(
    target: RepositoryName,
    rest: string,
    options: Parameters<typeof request>[1] = {},
  ): Promise<Got> {
    const url = this.#stage.url();
    if (url === null) throw new PullEnded("interrupted");
    const path = this.#persona.address(target.upstream, target.repository, rest);
    const headers = { "User-Agent": this.#persona.userAgent, ...options.headers };
    const got = await request(url + path, { ...options, headers });
    this.#stage.ledger.note(got, `${options.method ?? "GET"} ${path}`);
    return got;
  }
}

interface RepositoryName {
  upstream: string;
  repository: string;
}

function isRightLength({ headers, received }: Got): boolean {
  const length = headers.get("content-length");
  return length === null || Number(length) === received;
}
