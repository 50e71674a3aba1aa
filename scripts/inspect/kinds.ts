/** What artifacts beside an image are, and what made its layers, in words. Pure. */
import * as v from "valibot";
import { lenient, parseJson } from "../../src/oci/json.ts";
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
  const history = (config && parseJson(ImageConfig, config)?.history) ?? [];
  return history
    .filter(({ empty_layer }) => empty_layer !== true)
    .map(({ created_by }) => (created_by === null ? null : readable(created_by)));
}

const ImageConfig = v.object({
  history: v.array(v.object({ created_by: lenient(v.string()), empty_layer: lenient(v.boolean()) })),
});

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
