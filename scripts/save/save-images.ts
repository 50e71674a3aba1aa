/** Images pulled through a mirror and written as one tar: an OCI image layout that `docker load` reads too. */
import { resolve } from "node:path";
import { LayoutWriter } from "../archive/layout-writer.ts";
import { tarFileWriter, tarWriter } from "../archive/tar-writer.ts";
import { type Copied, Copier, type CopierOptions } from "../copy/copier.ts";
import { Registries } from "../copy/registry-io.ts";
import { mirrorSource } from "../image/sources.ts";
import type { RegistryClient } from "../registry/client.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";

export interface SaveOptions extends CopierOptions {
  client: RegistryClient;
  /** Its URL. */
  mirror: string;
  /** A path, which replaces a file there once the tar is whole; or a stream. */
  output: string | NodeJS.WriteStream;
  /** As `linux/amd64`: of an image of several platforms only this one; null for all. */
  platform: string | null;
  /** As `linux/amd64`: of an image that is saved with several platforms, the one that older versions of Docker load. */
  ownPlatform: string;
}

export type Saved = { image: string } & Pick<Copied, "digest" | "sent" | "present" | "bytes">;

/**
 * @returns what was written, in the order of the images.
 * @throws RegistryFailure, or Error for an image that can't be saved: then there is no file, and a stream ends before its index.
 */
export async function saveImages(images: readonly ImageReference[], options: SaveOptions): Promise<Saved[]> {
  const { client, mirror, output, platform, ownPlatform, progress } = options;
  const content =
    typeof output === "string"
      ? await tarFileWriter(resolve(output))
      : tarWriter("standard output", {
          sink: output,
          end: false,
          publish: async () => {},
          discard: () => {},
        });
  const writer = new LayoutWriter(content, { forDocker: true, platform: ownPlatform });
  const copier = new Copier(options);
  const registries = new Registries(client);
  const saved: Saved[] = [];
  try {
    for (const reference of images) {
      const image = formatReference(reference);
      const job = {
        source: registries.source(mirrorSource(mirror, reference).remote, manifestReference(reference)),
        target: writer.target({ ...reference, digest: null }),
        tag: nameIn(images, reference),
        ...{ platform, referrers: false },
      };
      const { digest, sent, present, bytes } = await progress.during(image, copier.copy(job));
      saved.push({ image, digest, sent, present, bytes });
    }
    await writer.commit();
    return saved;
  } finally {
    await writer.discard();
  }
}

/** The name in the layout: the tag, as Docker writes it, or all of the name where another image has the same tag. */
function nameIn(images: readonly ImageReference[], image: ImageReference): string | null {
  if (image.tag === null) return null;
  const name = (each: ImageReference) => formatReference({ ...each, digest: null });
  const isShared = images.some((each) => each.tag === image.tag && name(each) !== name(image));
  return isShared ? name(image) : image.tag;
}
