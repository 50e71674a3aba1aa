/** Has a mirror fetch an image by itself, and follows how far it is. */
import type { Wait } from "../../src/registry/retry.ts";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { WarmProgress } from "../owner-api/responses.ts";
import { formatReference, type ImageReference } from "../registry/reference.ts";
import type { Progress } from "../terminal/progress.ts";

export interface MirrorWarmOptions {
  owner: OwnerClient;
  reference: ImageReference;
  /** All if empty. */
  platforms: readonly string[];
  progress: Progress;
  /** Between two looks. */
  wait: Wait;
}

export interface WarmedByMirror {
  image: string;
  digest: string;
  platforms: string[];
  manifests: number;
  blobs: WarmProgress["blobs"];
  bytes: WarmProgress["bytes"];
}

/** Milliseconds. */
const BETWEEN_LOOKS = 1_000;

/**
 * Ends once all is stored, or nothing is left but blobs whose fill has failed.
 * @throws Error where the mirror can't or mustn't fetch the image.
 */
export async function warmByMirror(options: MirrorWarmOptions): Promise<WarmedByMirror> {
  const { owner, reference, platforms, progress, wait } = options;
  const image = formatReference(reference);
  const first = await owner.warm(image, platforms, 0);
  const task = progress.start(image, first.bytes.total);
  let shown = 0;
  let last = first;
  for (;;) {
    task.advance(Math.max(0, last.bytes.stored - shown));
    shown = Math.max(shown, last.bytes.stored);
    if (last.isDone || (last.blobs.filling === 0 && last.blobs.failed > 0)) break;
    await wait(BETWEEN_LOOKS);
    // By its digest: a tag that moves meanwhile would be another image.
    last = await owner.warm(`${first.repository}@${first.digest}`, platforms, last.cursor);
  }
  task.done();
  const { digest, platforms: found, manifests, blobs, bytes } = last;
  return { image, digest, platforms: found, manifests, blobs, bytes };
}
