/** The clients of a soak: each pushes, pulls, tags and deletes as the specification has it, and notes what it may rely on. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../random.ts";
import type { HostedMirror } from "./mirror.ts";
import { type Content, type Image, MANIFEST, type Model } from "./model.ts";

/** Milliseconds; only a mirror that has stopped responding takes longer. */
const DEADLINE = 60_000;
/** Of the grace: the longest pause between an image's blobs and its manifest. */
const PAUSE = 0.3;

/** Says that the mirror was killed meanwhile, so that anything may have happened to a request. */
class Killed extends Error {}

export class Client {
  readonly #mirror: HostedMirror;
  readonly #model: Model;
  readonly #random: Random;

  constructor(mirror: HostedMirror, model: Model, random: Random) {
    this.#mirror = mirror;
    this.#model = model;
    this.#random = random;
  }

  /** Does one thing. */
  async act(): Promise<void> {
    const random = this.#random;
    const acts = [
      { weight: 4, act: () => this.push() },
      { weight: 4, act: () => this.pull() },
      { weight: 2, act: () => this.delete() },
      { weight: 2, act: () => this.tagTwice() },
    ];
    try {
      await random.weighted(acts).act();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.#model.count("broken by a kill");
      await sleep(50);
    }
  }

  async push(): Promise<void> {
    const random = this.#random;
    const image = this.#model.make(random);
    const { grace } = this.#mirror.settings;
    const started = Date.now();
    try {
      for (const blob of image.blobs) await this.#pushBlob(image.repository, blob);
      if (random.chance(0.3)) await sleep(random.below(grace * PAUSE));
      // From here on it may be there, whatever becomes of the request.
      this.#model.images.push(image);
      const tag = `t${random.below(6)}`;
      const status = await this.#putManifest(image, tag);
      if (status === 201) this.#committed(image, tag);
      else {
        image.state = "deleted";
        // Only a blob that was there for longer than the grace may be gone.
        if (status === 404 && Date.now() - started > grace) this.#model.count("pushes that took too long");
        else this.#model.violations.push(`PUT of ${image.repository}@${image.manifest.digest}: ${status}`);
      }
    } finally {
      image.isBusy = false;
    }
  }

  async pull(image = this.#anyLive()): Promise<void> {
    if (!image) return;
    const { repository, manifest, blobs } = image;
    for (const [kind, content] of [
      ["manifests", manifest] as const,
      ...blobs.map((blob) => ["blobs", blob] as const),
    ]) {
      const response = await this.#send("GET", `${repository}/${kind}/${content.digest}`);
      const body = await this.#body(response);
      if (image.state !== "live") return;
      const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
      if (response.status === 200 && digest === content.digest) continue;
      this.#model.violations.push(
        `GET of ${repository}/${kind}/${content.digest}: ${response.status}, ${digest}`,
      );
    }
    this.#model.count("pulls");
  }

  async delete(): Promise<void> {
    const image = this.#model.claim(this.#random);
    if (!image) return;
    const { repository, manifest } = image;
    image.state = "deleted";
    // A kill may come before the deletion.
    const uncertain = () => {
      image.state = "uncertain";
    };
    try {
      const { status } = await this.#send("DELETE", `${repository}/manifests/${manifest.digest}`).catch(
        (error) => {
          uncertain();
          throw error;
        },
      );
      if (status !== 202)
        this.#model.violations.push(`DELETE of ${repository}@${manifest.digest}: ${status}`);
      this.#model.count("deletions");
    } finally {
      image.isBusy = false;
    }
  }

  /** Two tags of one digest, pushed at once; then one of them is deleted, and the other must still name the image. */
  async tagTwice(): Promise<void> {
    const image = this.#model.claim(this.#random);
    if (!image) return;
    try {
      const [stays, goes] = [`s-${crypto.randomUUID()}`, `g-${crypto.randomUUID()}`];
      const statuses = await Promise.all([stays, goes].map((tag) => this.#putManifest(image, tag)));
      const { status } = await this.#send("DELETE", `${image.repository}/manifests/${goes}`);
      const head = await this.#send("HEAD", `${image.repository}/manifests/${stays}`);
      const named = head.headers.get("Docker-Content-Digest");
      const seen = [...statuses, status, head.status, named];
      if (seen.join() !== [201, 201, 202, 200, image.manifest.digest].join()) {
        this.#model.violations.push(
          `two tags of ${image.repository}@${image.manifest.digest}: ${seen.join(", ")}`,
        );
      }
      this.#model.count("tags of one digest");
    } finally {
      image.isBusy = false;
    }
  }

  /** Finds out what became of an image whose last request broke off. */
  async resolve(image: Image): Promise<void> {
    const { status } = await this.#send("GET", `${image.repository}/manifests/${image.manifest.digest}`);
    image.state = status === 200 ? "live" : "deleted";
  }

  async collect(): Promise<void> {
    const response = await this.#fetch("/_/gc", {
      method: "POST",
      headers: { Authorization: `Bearer ${this.#mirror.settings.adminKey}` },
    });
    const { deleted } = (await response.json()) as { deleted: number };
    if (!response.ok) this.#model.violations.push(`gc: ${response.status}`);
    this.#model.count("collections");
    if (deleted > 0) this.#model.count("collections that deleted");
  }

  #anyLive(): Image | null {
    const live = this.#model.images.filter(({ state }) => state === "live");
    return live.length === 0 ? null : this.#random.pick(live);
  }

  #committed(image: Image, tag: string): void {
    image.state = "live";
    image.tags.add(tag);
    this.#model.count("pushes");
  }

  /** As clients do: what is there is skipped, else mounted from where it should be, else sent. */
  async #pushBlob(repository: string, blob: Content): Promise<void> {
    const random = this.#random;
    const head = await this.#send("HEAD", `${repository}/blobs/${blob.digest}`);
    if (head.status === 200) return this.#model.count("blobs found");
    const source = this.#model.sourceOf(blob, repository);
    const uploads = `${repository}/blobs/uploads/`;
    if (source !== null && random.chance(0.7)) {
      const mounted = await this.#send("POST", `${uploads}?mount=${blob.digest}&from=hosted/${source}`);
      if (mounted.status === 201) return this.#model.count("blobs mounted");
    }
    const { status } = await this.#sendBlob(uploads, blob);
    if (status !== 201)
      this.#model.violations.push(`upload of ${repository}/blobs/${blob.digest}: ${status}`);
    this.#model.count("blobs sent");
  }

  async #sendBlob(uploads: string, { digest, bytes }: Content): Promise<Response> {
    const random = this.#random;
    if (random.chance(0.25)) return this.#send("POST", `${uploads}?digest=${digest}`, bytes);
    const started = await this.#send("POST", uploads);
    const location = started.headers.get("Location") ?? "";
    if (random.chance(0.3))
      return this.#fetch(`${location}?digest=${digest}`, { method: "PUT", body: bytes });
    const middle = random.below(bytes.byteLength);
    const parts = random.chance(0.5) ? [bytes] : [bytes.slice(0, middle), bytes.slice(middle)];
    for (const part of parts) {
      const body = random.chance(0.7) ? streamed(part) : part;
      const { status } = await this.#fetch(location, { method: "PATCH", body, duplex: "half" });
      if (status !== 202) this.#model.violations.push(`PATCH of ${digest}: ${status}`);
    }
    if (random.chance(0.1)) {
      this.#model.count("uploads given up");
      return this.#send("POST", `${uploads}?digest=${digest}`, bytes);
    }
    return this.#fetch(`${location}?digest=${digest}`, { method: "PUT" });
  }

  async #putManifest({ repository, manifest }: Image, tag: string): Promise<number> {
    const headers = { "Content-Type": MANIFEST };
    const init = { method: "PUT", body: manifest.bytes, headers };
    return (await this.#fetch(`/v2/hosted/${repository}/manifests/${tag}`, init)).status;
  }

  #send(method: string, path: string, body?: Uint8Array<ArrayBuffer>): Promise<Response> {
    return this.#fetch(`/v2/hosted/${path}`, { method, ...(body ? { body } : {}) });
  }

  /** @throws Killed if the mirror was killed before the response came. */
  async #fetch(path: string, init: RequestInit & { duplex?: "half" }): Promise<Response> {
    const { url, kills } = this.#mirror;
    if (url === null) throw new Killed();
    try {
      const signal = AbortSignal.timeout(DEADLINE);
      const response = await fetch(url + path, { ...init, signal } as RequestInit);
      if (init.method !== "GET" && !path.startsWith("/_/")) await response.arrayBuffer();
      // One process may outlive the other for a moment, and say that it can't do anything.
      if (response.status >= 500 && this.#mirror.kills > kills) throw new Killed();
      return response;
    } catch (error) {
      throw this.#mirror.kills > kills ? new Killed() : error;
    }
  }

  async #body(response: Response): Promise<Uint8Array> {
    const { kills } = this.#mirror;
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      throw this.#mirror.kills > kills || this.#mirror.url === null ? new Killed() : error;
    }
  }
}

/** A body without a length. */
function streamed(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}
