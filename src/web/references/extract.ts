/**
 * Every image in a text that a person has at hand: a reference, a web address, commands, a Dockerfile, a compose file, a Kubernetes
 * manifest, Helm values. Pure, and linear in the text's length: the page's script runs it on whatever is pasted.
 */
import { dockerfileImages } from "./dockerfile.ts";
import type { Found } from "./found.ts";
import { parseReference, type Reference } from "./reference.ts";
import { commandImages } from "./shell.ts";
import { referenceOfPage } from "./web-address.ts";
import { yamlImages } from "./yaml.ts";

export type Format = "reference" | "command" | "dockerfile" | "yaml";

export interface Extraction {
  format: Format;
  /** By where they start. */
  images: Found[];
}

/** Characters of the longest text that is read; longer ones are no file that a person wrote. */
export const LONGEST_TEXT = 512 * 1024;

/** Reads a text. One that is too long has no images. */
export function extractImages(text: string): Extraction {
  if (text.length > LONGEST_TEXT) return { format: "reference", images: [] };
  const format = formatOf(text);
  const images = READERS[format](text);
  return { format, images: images.sort((a, b) => a.start - b.start) };
}

const READERS: Readonly<Record<Format, (text: string) => Found[]>> = {
  reference: listedImages,
  command: (text) => [...commandImages(text), ...linesOfTheirOwn(text)],
  dockerfile: dockerfileImages,
  yaml: yamlImages,
};

function formatOf(text: string): Format {
  if (/^[ \t]*FROM[ \t]+\S/im.test(text)) return "dockerfile";
  if (/^[ \t\-"'{,]*(?:image|repository|container|services|uses)["']?[ \t]*:(?:[ \t\r\n]|$)/m.test(text))
    return "yaml";
  if (/"(?:image|repository)"[ \t]*:/.test(text)) return "yaml";
  return /(?:^|[\s;&|(])(?:docker|podman|nerdctl|crictl|ctr|buildah|skopeo|crane|kubectl|helm|oras)[ \t]/m.test(
    text,
  )
    ? "command"
    : "reference";
}

/** References and web addresses, one a line or separated by spaces; a sentence around them is no reference. */
function listedImages(text: string): Found[] {
  const found: Found[] = [];
  for (const { 0: word, index } of text.matchAll(/[^\s,;"'`<>]+/g)) {
    const page = referenceOfPage(word);
    const reference = parseReference(page ?? word);
    if (reference) found.push({ start: index, end: index + word.length, reference });
  }
  return found;
}

/** References among commands, one a line: with a tag, a digest or a registry's host, since a script has other words alone on a line. */
function linesOfTheirOwn(text: string): Found[] {
  return [...text.matchAll(/(?<!\\\r?\n)^[ \t]*(\S+)[ \t]*$/gm)].flatMap(
    ({ 0: line, 1: word = "", index }) => {
      const isFull = /[:@]|^[^/]+\.[^/]+\//.test(word);
      const reference = isFull ? parseReference(referenceOfPage(word) ?? word) : null;
      const start = index + line.indexOf(word);
      return reference ? [{ start, end: start + word.length, reference }] : [];
    },
  );
}

/** The text with each image's name on the mirror in its place. @param mirrored null leaves an image as it is. */
export function rewrite(
  text: string,
  images: readonly Found[],
  mirrored: (reference: Reference) => string | null,
): string {
  const edits = images.flatMap(({ start, end, reference, write = (name) => name, beside = [] }) => {
    const name = mirrored(reference);
    if (name === null) return [];
    return [
      { start, end, text: write(name) },
      ...beside.map((each) => ({ ...each, text: each.write(name) })),
    ];
  });
  edits.sort((a, b) => a.start - b.start);
  let result = "";
  let at = 0;
  for (const { start, end, text: replacement } of edits) {
    if (start < at) continue;
    result += text.slice(at, start) + replacement;
    at = end;
  }
  return result + text.slice(at);
}
