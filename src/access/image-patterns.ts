/** Patterns of images: `docker.io/library/alpine:3`, `ghcr.io/team/*`. One without a tag stands for all tags. */
import { isPattern, matchesAny } from "./patterns.ts";

const TAG = /^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}$/;

/** Whether a pattern could match an image: its repository begins with an upstream's name, or with `*`. */
export function isImagePattern(text: string): boolean {
  const { repository, tag } = parts(text);
  return isPattern(repository) && /^\*|\//.test(repository) && (tag === null || TAG.test(tag));
}

/** @param repository `upstream/repository` */
export function matchesAnyImage(patterns: readonly string[], repository: string, tag: string): boolean {
  return patterns.some((pattern) => {
    const wanted = parts(pattern);
    return matchesAny([wanted.repository], repository) && matchesAny([wanted.tag ?? "*"], tag);
  });
}

/** Whether a pattern stands for all tags of a repository. @param repository `upstream/repository` */
export function matchesAnyRepository(patterns: readonly string[], repository: string): boolean {
  return patterns.some((pattern) => {
    const wanted = parts(pattern);
    return wanted.tag === null && matchesAny([wanted.repository], repository);
  });
}

function parts(pattern: string): { repository: string; tag: string | null } {
  const at = pattern.lastIndexOf(":");
  return at === -1
    ? { repository: pattern, tag: null }
    : { repository: pattern.slice(0, at), tag: pattern.slice(at + 1) };
}
