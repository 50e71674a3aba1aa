/**
 * The images of compose files, Kubernetes manifests, Helm values and CI files, in YAML or JSON. Lines are read, not documents: what
 * isn't an image stays as it was written, comments, templates and anchors included.
 */
import { linesOf } from "./dockerfile.ts";
import type { Found } from "./found.ts";
import { parseReference } from "./reference.ts";

/** A key with its value on the same line. */
interface Entry {
  key: string;
  value: string;
  /** Where the value starts and ends in the text, without its quotes. */
  start: number;
  end: number;
  /** Columns before the key; a list's dash counts as one of them. */
  indent: number;
  isItem: boolean;
}

export function yamlImages(text: string): Found[] {
  const entries = linesOf(text).flatMap(({ line, start }) => entriesOf(line, start));
  return [
    ...blocksOf(entries).flatMap((block) => helmImage(block)),
    ...entries.flatMap((entry, at) => plainImage(entry, entries, at)),
  ];
}

const PAIR =
  /(?:^|[\s{,[-])(["']?)([A-Za-z][A-Za-z0-9_.-]{0,63})\1[ \t]*:(?:[ \t]+|$|(?="))(?:&\S+[ \t]+)?(?:"([^"\n]*)"|'([^'\n]*)'|((?:\{\{[^}\n]*\}\}|\$\{[^}\n]*\}|[^\s,{}"'#&*!|>%@`[\]])(?:\{\{[^}\n]*\}\}|\$\{[^}\n]*\}|[^\s,{}\]])*))?/dg;

function entriesOf(line: string, start: number): Entry[] {
  if (/^\s*#/.test(line) || line.length > 4096) return [];
  const indent = /^[\s-]*/.exec(line)?.[0].length ?? 0;
  const isItem = /^\s*-/.test(line);
  return [...line.matchAll(PAIR)].map((match, at) => {
    const group = match[3] !== undefined ? 3 : match[4] !== undefined ? 4 : 5;
    const [from, to] = match.indices?.[group] ?? [line.length, line.length];
    return {
      key: match[2] ?? "",
      value: match[group] ?? "",
      start: start + from,
      end: start + to,
      indent,
      isItem: isItem && at === 0,
    };
  });
}

/** Keys whose value is an image's whole name. */
const IMAGE_KEYS = new Set(["image", "container", "uses", "baseImage", "containerImage"]);

function plainImage({ key, value, start, end }: Entry, entries: readonly Entry[], at: number): Found[] {
  if (value === "") return [];
  const isImage = IMAGE_KEYS.has(key) || /^[a-z][A-Za-z0-9]{0,40}Image$/.test(key);
  const before = entries[at - 1];
  // GitLab's form: `image:` with a `name` below it.
  const isNamed = key === "name" && before !== undefined && before.key === "image" && before.value === "";
  if (!isImage && !isNamed) return [];
  const scheme = value.startsWith("docker://") ? "docker://".length : 0;
  if (key === "uses" && scheme === 0) return [];
  const reference = parseReference(value.slice(scheme));
  return reference ? [{ start: start + scheme, end, reference }] : [];
}

/** Runs of entries that belong to one mapping: of the same indent, without a new list item between them. */
function blocksOf(entries: readonly Entry[]): Entry[][] {
  const blocks: Entry[][] = [];
  const open: Entry[][] = [];
  for (const entry of entries) {
    while ((open.at(-1)?.[0]?.indent ?? -1) > entry.indent) open.pop();
    const current = open.at(-1);
    if (current && current[0]?.indent === entry.indent && !entry.isItem) current.push(entry);
    else {
      if (current?.[0]?.indent === entry.indent) open.pop();
      const block = [entry];
      open.push(block);
      blocks.push(block);
    }
  }
  return blocks;
}

/** `registry`, `repository` and `tag` of Helm values. Without a `registry`, the repository takes the mirror's name. */
function helmImage(block: readonly Entry[]): Found[] {
  return block.flatMap((entry, at): Found[] => {
    if (entry.key !== "repository" || entry.value === "") return [];
    // The nearest of each, since a mapping in one line (`{registry: a, repository: b}`) stands beside others.
    const near = (key: string) =>
      block.slice(Math.max(0, at - 4), at + 5).find((each) => each.key === key && each.value !== "") ?? null;
    const registry = near("registry");
    const full = registry ? `${registry.value}/${entry.value}` : entry.value;
    const name = parseReference(full);
    const tag = near("tag")?.value;
    const reference = name && (tag === undefined ? name : (parseReference(`${full}:${tag}`) ?? name));
    if (!reference || /^(?:https?|oci|git|ssh):/.test(entry.value)) return [];
    const bare = (mirrored: string) => withoutSuffix(mirrored, reference.suffix);
    if (!registry) return [{ start: entry.start, end: entry.end, reference, write: bare }];
    const host = (mirrored: string) => mirrored.slice(0, mirrored.indexOf("/"));
    return [
      {
        start: entry.start,
        end: entry.end,
        reference,
        write: (mirrored) => bare(mirrored).slice(host(mirrored).length + 1),
        beside: [{ start: registry.start, end: registry.end, write: host }],
      },
    ];
  });
}

function withoutSuffix(name: string, suffix: string): string {
  return suffix !== "" && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}
