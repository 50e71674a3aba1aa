/** What an image is called where it is copied to, if its target doesn't say. Pure. */
import { isTag } from "../../src/oci/names.ts";
import { type ImageReference, parseAsWritten } from "../registry/reference.ts";
import type { Location } from "./location.ts";

export interface TargetName {
  /** The location with its name written out. */
  location: Location;
  /** The tag in a registry, or the name in a layout; null for none. */
  tag: string | null;
  /** What Docker is to call it; null for nothing. */
  reference: ImageReference | null;
}

/** The source with `latest` where neither a tag nor a digest is written. */
export function completeSource(source: Location): Location {
  if (source.kind === "docker-daemon" && "reference" in source) {
    return { ...source, reference: withDefaultTag(source.reference) };
  }
  return source.kind === "registry" ? { ...source, reference: withDefaultTag(source.reference) } : source;
}

/**
 * The target, which gets the source's tag if it has none, and `latest` if that has none either. In a Docker archive without a name it
 * keeps its own.
 * @param source as `completeSource` gives it.
 * @throws Error for a target that isn't named by a tag.
 */
export function nameTarget(source: Location, target: Location): TargetName {
  const tag = tagOf(source);
  switch (target.kind) {
    case "registry": {
      const { reference } = target;
      if (reference.digest !== null) throw new Error("the target takes a tag: its digest is the source's");
      const isByDigest = source.kind === "registry" && tag === null;
      const named = { ...reference, tag: reference.tag ?? tag ?? (isByDigest ? null : "latest") };
      return { location: { ...target, reference: named }, tag: named.tag, reference: null };
    }
    case "oci":
    case "oci-archive": {
      const name = target.name ?? tag;
      return { location: { ...target, name }, tag: name, reference: null };
    }
    case "docker-archive": {
      const written = target.reference ?? referenceOf(source);
      const reference = written && { ...written, tag: written.tag ?? tag ?? "latest" };
      return { location: { ...target, reference }, tag: reference?.tag ?? null, reference };
    }
    case "docker-daemon": {
      if ("id" in target) throw new Error("Docker takes an image by name and tag, not by its ID");
      const reference = { ...target.reference, tag: target.reference.tag ?? tag ?? "latest" };
      return { location: { ...target, reference }, tag: reference.tag, reference };
    }
  }
}

function tagOf(source: Location): string | null {
  if (source.kind === "oci" || source.kind === "oci-archive") {
    if (source.name === null) return null;
    return isTag(source.name) ? source.name : taggedIn(source.name);
  }
  return referenceOf(source)?.tag ?? null;
}

/** The tag in a layout's name that is a whole reference. */
function taggedIn(name: string): string | null {
  try {
    return parseAsWritten(name).tag;
  } catch {
    return null;
  }
}

/** The image's name; a digest is left out, since Docker's archives have none. */
function referenceOf(source: Location): ImageReference | null {
  if (!("reference" in source) || source.reference === null) return null;
  return { ...source.reference, digest: null };
}

function withDefaultTag(reference: ImageReference): ImageReference {
  return { ...reference, tag: reference.tag ?? (reference.digest === null ? "latest" : null) };
}
