/** Lists of public mirrors: Portolan's own, `mirrors.yaml`, and those that users keep beside it in the same form. */
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { readIfThere } from "../files.ts";
import { normalMirrorUrl } from "../registry/mirror-url.ts";

export interface PublicMirror {
  /** As clients are given it. `/v2` is put after its path unless that has it: then the path is all that stands before the repository. */
  url: string;
  /** The registry whose images it has under that URL. */
  registry: string;
}

const PORTOLANS_OWN = fileURLToPath(new URL("mirrors.yaml", import.meta.url));

const Registry = v.pipe(
  v.string(),
  v.regex(
    /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/,
    ({ input }) => `${input} must be a registry's host name, such as docker.io`,
  ),
);
/** A login in it is a mistake that isn't repeated on the terminal. */
const NO_URL = "a mirror must be a URL such as https://mirror.example.com, without a login in it";
const MirrorUrl = v.pipe(
  v.string(NO_URL),
  v.check((text) => normalMirrorUrl(text) !== null, NO_URL),
  v.transform((text) => normalMirrorUrl(text) ?? text),
);
const List = v.record(
  Registry,
  v.array(MirrorUrl, "a registry must have a list of mirrors, each on a line of its own after a hyphen"),
);

/**
 * Reads a list: registries, each with the URLs of its mirrors.
 * @param name the file's, for errors.
 * @throws Error that says in which line it is wrong.
 */
export function parseMirrorList(text: string, name: string): PublicMirror[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [fault] = document.errors;
  if (fault) {
    const [message = ""] = fault.message.split("\n");
    const reason = message.replace(/ at line \d+, column \d+:?$/, "");
    throw new Error(`${name}, line ${fault.linePos?.[0].line ?? 1}: it isn't YAML: ${reason}`);
  }
  if (document.contents !== null && !isMap(document.contents)) {
    throw new Error(`${name}, line 1: it must have registries, each with a list of mirrors`);
  }
  const read = v.safeParse(List, contentOf(document, name) ?? {});
  if (!read.success) {
    const faults = read.issues.map(
      (issue) => `${name}, line ${lineOf(issue, document, lines)}: ${issue.message}`,
    );
    throw new Error(faults.join("; "));
  }
  return Object.entries(read.output).flatMap(([registry, urls]) => urls.map((url) => ({ url, registry })));
}

/** @throws Error for an alias without an anchor, or aliases that would grow beyond measure. */
function contentOf(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new Error(`${name}: it isn't YAML: ${error instanceof Error ? error.message : error}`);
  }
}

/** The line of the registry or the mirror that an issue is about. */
function lineOf({ path }: v.BaseIssue<unknown>, { contents }: Document, lines: LineCounter): number {
  const [registry, index] = (path ?? []).map(({ key }) => key);
  const pair = isMap(contents)
    ? contents.items.find(({ key }) => isScalar(key) && String(key.value) === registry)
    : undefined;
  const mirror = isSeq(pair?.value) && typeof index === "number" ? pair.value.items[index] : undefined;
  const node = mirror ?? pair?.key;
  const range = typeof node === "object" && node !== null && "range" in node ? node.range : null;
  return Array.isArray(range) ? lines.linePos(range[0]).line : 1;
}

/** Where a user's own list is read from if there is one (XDG Base Directory Specification). */
export function ownListPath(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_CONFIG_HOME, HOME } = environment;
  return join(XDG_CONFIG_HOME || join(HOME ?? homedir(), ".config"), "portolan", "mirrors.yaml");
}

/**
 * The mirrors of several lists, each once.
 * @param required files that must be there.
 * @param optional files that may be missing.
 * @throws Error for a file that can't be read or is wrong.
 */
export async function readMirrorLists(
  required: readonly string[],
  optional: readonly string[] = [],
): Promise<PublicMirror[]> {
  const lists = await Promise.all(
    [...required, ...optional].map(async (path) => {
      const text = await readIfThere(path);
      if (text === null && required.includes(path)) throw new Error(`there is no list ${path}`);
      return text === null ? [] : parseMirrorList(text, path);
    }),
  );
  return once(lists.flat());
}

/** Portolan's own list. */
export function readPublicMirrors(): Promise<PublicMirror[]> {
  return readMirrorLists([PORTOLANS_OWN]);
}

/** Each mirror of a registry once, where it stands first. */
export function once(mirrors: readonly PublicMirror[]): PublicMirror[] {
  return [...new Map(mirrors.map((each) => [`${each.registry} ${each.url}`, each])).values()];
}
