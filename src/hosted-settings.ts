import type { Retention } from "./retention-settings.ts";

/** The settings of hosted repositories. */
export interface HostedSettings {
  /** First path component of its repositories: `hosted`. */
  path: string;
  /** Host label under DOMAIN that has only hosted repositories: `registry`. */
  host: string;
  /** Whether everyone who can reach the mirror may push and delete: on an open mirror on loopback only. */
  isOpen: boolean;
  /** Patterns on `hosted/repository` that anyone may pull from without a key. */
  public: readonly string[];
  /** Patterns on `hosted/repository` whose tags never change, and from which nothing is deleted. */
  immutable: readonly string[];
  /** Bytes that the repositories of a pattern may have together; the first pattern that matches counts. */
  quota: readonly { pattern: string; bytes: number }[];
  /** Which tags are kept; all where no pattern matches, and the first that does counts. */
  retention: readonly Retention[];
  /** Whether a manifest may reference content that isn't in its repository. */
  sparse: boolean;
}
