/** Settings put into a YAML file, on its document and not on what it says, so that comments and order stay. */
import { isDeepStrictEqual } from "node:util";
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from "yaml";
import { addByHand, UnsafeChange } from "./unsafe.ts";
import { isSame, isTable, merge } from "./values.ts";

export function mergeYaml(existing: string, content: string): string {
  // k3s reads merge keys (`<<`) too.
  const document = parseDocument(existing, { merge: true });
  const [fault] = document.errors;
  if (fault) throw fault;
  const ours = parseDocument(content);
  const before: unknown = document.toJS() ?? {};
  const expected = merge(before, ours.toJS());
  if (isDeepStrictEqual(before, expected)) return existing;
  refuseRewrites(before, expected);
  if (document.contents === null) document.contents = ours.contents;
  else if (isMap(document.contents) && isMap(ours.contents))
    mergeMap(document, document.contents, ours.contents);
  const written = document.toString({ lineWidth: 0, ...styleOf(existing) });
  const after = existing.includes("\r\n") ? written.replaceAll(/\r?\n/g, "\r\n") : written;
  if (!isDeepStrictEqual(parseDocument(after, { merge: true }).toJS(), expected)) {
    throw addByHand("The settings can't be added without a change of what else it says.", content);
  }
  return after;
}

/** k3s applies an entry's `rewrite` to each of its endpoints, so the mirror would be requested other names. */
function refuseRewrites(before: unknown, expected: unknown): void {
  const mirrorsOf = (file: unknown): Record<string, unknown> =>
    isTable(file) && isTable(file.mirrors) ? file.mirrors : {};
  for (const [name, entry] of Object.entries(mirrorsOf(before))) {
    if (!isTable(entry) || !isTable(entry.rewrite) || Object.keys(entry.rewrite).length === 0) continue;
    if (isDeepStrictEqual(entry, mirrorsOf(expected)[name])) continue;
    throw new UnsafeChange(
      `mirrors."${name}" has a rewrite, which would change the names in requests to Portolan too. Nothing was written. Remove the rewrite and the endpoint that needs it, or name the other registries by --upstream.`,
    );
  }
}

function mergeMap(document: Document, theirs: YAMLMap, ours: YAMLMap): void {
  for (const pair of ours.items as Pair<Node, Node | null>[]) {
    const present = theirs.items.find(({ key }) =>
      isSame(isNode(key) ? key.toJSON() : key, pair.key.toJSON()),
    );
    if (present === undefined) {
      theirs.items.push(pair);
      continue;
    }
    const value = ofItsOwn(document, present.value as Node | null);
    present.value = value;
    if (isMap(value) && isMap(pair.value)) mergeMap(document, value, pair.value);
    else if (isSeq(value) && isSeq(pair.value)) {
      const first = (pair.value.items as Node[]).map((item) => {
        const index = (value.items as Node[]).findIndex((each) => isSame(each.toJS(document), item.toJSON()));
        return index < 0 ? item : (value.items.splice(index, 1)[0] as Node);
      });
      value.items.unshift(...first);
    } else if (!isSame(value?.toJS(document), pair.value?.toJSON())) present.value = pair.value;
  }
}

/**
 * A node that only its own place in the file refers to: an alias becomes a copy of what it stands for, and aliases of the
 * node become copies of what it was. Otherwise what is added for one registry would hold for others too.
 */
function ofItsOwn(document: Document, node: Node | null): Node | null {
  if (isAlias(node)) return copyOf(node.resolve(document));
  if (node === null || !("anchor" in node) || node.anchor === undefined) return node;
  visit(document, {
    Alias: (_, alias) => (alias.resolve(document) === node ? (copyOf(node) ?? undefined) : undefined),
  });
  delete node.anchor;
  return node;
}

function copyOf(node: Node | undefined): Node | null {
  if (node === undefined) return null;
  const copy = node.clone() as Node;
  visit(copy, {
    Node: (_, each) => {
      if (!isAlias(each)) delete (each as { anchor?: string }).anchor;
    },
  });
  return copy;
}

/** How the file is indented, so that lines which don't change stay as they are. */
function styleOf(text: string): { indent: number; indentSeq: boolean } {
  const [, indent = "  "] = /^( +)[^\s#-]/m.exec(text) ?? [];
  return { indent: indent.length, indentSeq: !/^( *)[^\s#-][^\n]*:[ \t]*\n\1- /m.test(text) };
}
