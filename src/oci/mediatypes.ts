// The media types of manifests: which we ask for, which we serve, and which we recognise only to refuse.

export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_ARTIFACT_MANIFEST = "application/vnd.oci.artifact.manifest.v1+json";
export const DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

const INDEX_TYPES: readonly string[] = [OCI_INDEX, DOCKER_MANIFEST_LIST];
const MANIFEST_TYPES: readonly string[] = [
  OCI_INDEX,
  DOCKER_MANIFEST_LIST,
  OCI_MANIFEST,
  DOCKER_MANIFEST,
  OCI_ARTIFACT_MANIFEST,
];
const SCHEMA1_TYPES: readonly string[] = [
  "application/vnd.docker.distribution.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/**
 * The Accept of every manifest request that goes upstream, whatever the client sent: with less, some registries convert
 * to schema 1, whose bytes are signed again each time and so have no stable digest.
 */
export const MANIFEST_ACCEPT: string = MANIFEST_TYPES.join(", ");

/** Whether `type`, an essence, is a manifest's or an index's, schema 1 apart. */
export function isManifestType(type: string): boolean {
  return MANIFEST_TYPES.includes(type);
}

/** Whether `type`, an essence, is an OCI index's or a Docker manifest list's. */
export function isIndexType(type: string): boolean {
  return INDEX_TYPES.includes(type);
}

/** Whether `type`, an essence, is that of a Docker schema 1 manifest, signed or not. */
export function isSchema1Type(type: string): boolean {
  return SCHEMA1_TYPES.includes(type);
}

/**
 * A Content-Type's media type: lower-case, without parameters; "" when the header is absent.
 * Source: RFC 9110 §8.3.1.
 */
export function essence(contentType: string | null): string {
  return contentType?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
