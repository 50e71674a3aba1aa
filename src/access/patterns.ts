/** Patterns of repositories: `docker.io/library/*`, `ghcr.io/owner/image`. */

/**
 * Whether a pattern could match anything: the characters of an upstream's name and a repository, and `*`, which stands
 * for any run of them, slashes too.
 */
export function isPattern(text: string): boolean {
  return text.length <= 255 && /^[a-z0-9*][a-z0-9._\-/*]*$/.test(text);
}

/** @param name `upstream/repository` */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

/** Takes each part where it comes first, which is enough where the only wildcard is `*`, and takes linear time for each. */
function matches(pattern: string, name: string): boolean {
  const [start = "", ...parts] = pattern.split("*");
  const end = parts.pop();
  if (end === undefined) return name === start;
  if (!name.startsWith(start)) return false;
  let at = start.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.length - end.length >= at && name.endsWith(end);
}
