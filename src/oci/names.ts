// What may stand in a path as a repository's name or a tag: the grammar every route and every upstream call relies on.

const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** The spec counts the host too; its length is unknown here, so this is the bound no host can raise. */
const REPOSITORY_LENGTH = 255;

/**
 * Whether `text` is a repository `<name>`: lower-case path components of at most 255 characters in all.
 * Source: distribution-spec, "Pulling manifests".
 */
export function isRepository(text: string): boolean {
  return text.length <= REPOSITORY_LENGTH && REPOSITORY.test(text);
}

/** Whether `text` is a repository but for letters in upper case, which some registries of models have in their names. */
export function isMixedCaseRepository(text: string): boolean {
  return isRepository(text.toLowerCase()) && /^[\x21-\x7e]*$/.test(text);
}

/**
 * Whether `text` is a `<reference>` that is a tag, of at most 128 characters. A digest is never a tag: it has a colon.
 * Source: distribution-spec, "Pulling manifests".
 */
export function isTag(text: string): boolean {
  return TAG.test(text);
}
