/** What artifacts beside an image are, and what made its layers, in words. Pure. */
import type { Descriptor } from "../../src/oci/manifest.ts";

const KINDS: readonly [pattern: RegExp, kind: string][] = [
  [/^application\/vnd\.dev\.cosign\.artifact\.sig\./, "signature (cosign)"],
  [/^application\/vnd\.dev\.cosign\.artifact\.sbom\./, "SBOM (cosign)"],
  [/^application\/vnd\.dev\.sigstore\.bundle/, "signature or attestation (sigstore)"],
  [/^application\/vnd\.cncf\.notary\.signature$/, "signature (notation)"],
  [/^(text|application)\/(vnd\.)?spdx/, "SBOM (SPDX)"],
  [/^application\/vnd\.cyclonedx/, "SBOM (CycloneDX)"],
  [/^application\/vnd\.in-toto/, "attestation (in-toto)"],
];

/** What a referrer is, by its artifact type; that type itself where it isn't known here. */
export function kindOf({ artifactType, mediaType }: Descriptor): string {
  const type = artifactType ?? mediaType;
  return KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? type;
}

/** What a BuildKit attestation holds, by the predicate types of its parts. */
export function predicates(parts: readonly Descriptor[]): string {
  const stored = parts.map(({ annotations }) => {
    const type = annotations?.["in-toto.io/predicate-type"] ?? "";
    if (type.includes("spdx")) return "SBOM (SPDX)";
    if (type.includes("cyclonedx")) return "SBOM (CycloneDX)";
    return type.includes("provenance") ? "provenance (SLSA)" : "attestation (in-toto)";
  });
  return [...new Set(stored)].join(", ") || "attestation";
}

/** The commands that made an image's layers, in their order, by the history in its config (image-spec, config.md). */
export function madeBy(config: Uint8Array | null): (string | null)[] {
  try {
    const { history } = JSON.parse(new TextDecoder().decode(config ?? undefined));
    return history
      .filter((entry: { empty_layer?: unknown }) => entry.empty_layer !== true)
      .map(({ created_by }: { created_by?: unknown }) =>
        typeof created_by === "string" ? readable(created_by) : null,
      );
  } catch {
    return [];
  }
}

/** A history's entry without what builders write around the command. */
function readable(command: string): string {
  return command
    .replace(/\p{C}+/gu, " ")
    .replace(/^\/bin\/sh -c (#\(nop\) +)?/, "")
    .replace(/^\|\d+ .*?\/bin\/sh -c /, "")
    .replace(/ # buildkit$/, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}
