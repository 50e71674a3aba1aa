/** An image as publishers make them: several platforms, a config that says much, layers of very different sizes. */
import type { FakeRegistry } from "../support/fake-registry.ts";

export interface Published {
  /** Of the index. */
  digest: string;
  layers: { digest: string; size: number }[];
}

const STEPS = [
  { created_by: "/bin/sh -c #(nop) ADD file:0123 in / " },
  { created_by: '/bin/sh -c #(nop)  CMD ["bash"]', empty_layer: true },
  { created_by: "RUN /bin/sh -c apt-get update && apt-get install -y nginx # buildkit" },
  { created_by: "COPY docker-entrypoint.sh / # buildkit" },
  { created_by: 'ENTRYPOINT ["/docker-entrypoint.sh"]', empty_layer: true },
];
const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value));

/** @param sizes bytes of the layers, made by the steps that make layers. */
export async function publish(
  registry: FakeRegistry,
  repository: string,
  tag: string,
  sizes: readonly number[] = [3000, 900, 40],
): Promise<Published> {
  const layers = await Promise.all(
    sizes.map(async (size, at) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      ...(await registry.addBlob(new Uint8Array(size).fill(at + 1), { repository })),
    })),
  );
  const manifests = await Promise.all(
    ["amd64", "arm64"].map(async (architecture) => {
      const config = encode({
        ...{ architecture, os: "linux", created: "2026-11-01T10:00:00Z", author: "Ada <ada@example.com>" },
        config: {
          ...{
            Entrypoint: ["/docker-entrypoint.sh"],
            Cmd: ["nginx", "-g", "daemon off;"],
            WorkingDir: "/srv",
          },
          ...{ Env: ["PATH=/usr/bin", "NGINX_VERSION=1.27"], ExposedPorts: { "80/tcp": {} } },
          Labels: { maintainer: "<script>alert(1)</script>" },
        },
        history: STEPS,
      });
      const described = {
        mediaType: "application/vnd.oci.image.config.v1+json",
        ...(await registry.addBlob(config, { repository })),
      };
      const manifest = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json" };
      const added = await registry.addManifest(repository, { ...manifest, config: described, layers });
      return { ...describe(added), platform: { os: "linux", architecture } };
    }),
  );
  const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
  const { digest } = await registry.addManifest(repository, index);
  registry.moveTag(repository, tag, digest);
  return { digest, layers };
}

function describe({ digest, bytes }: { digest: string; bytes: Uint8Array }) {
  return { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: bytes.byteLength };
}
