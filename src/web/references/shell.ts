/** The images in commands as they stand in shells, scripts and READMEs: `docker run`, `podman pull`, `kubectl run --image`, … */
import type { Found } from "./found.ts";
import { parseReference } from "./reference.ts";
import { referenceOfPage } from "./web-address.ts";

const PROGRAMS = new Set([
  "docker",
  "podman",
  "nerdctl",
  "crictl",
  "ctr",
  "buildah",
  "skopeo",
  "crane",
  "oras",
  "helm",
]);
/** Commands whose first argument is an image; those of `FIRST_OF_MANY` take several. */
const COMMANDS = new Set([
  "run",
  "create",
  "from",
  "manifest",
  "digest",
  "inspect",
  "config",
  "pull",
  "fetch",
]);
const MANY = new Set(["pull"]);
const GROUPS = new Set(["container", "image", "images", "k8s.io", "buildx", "imagetools"]);
/** Options without a value; all others take the next word, unless they contain `=`. */
const FLAGS = new Set(
  `-d -i -t -P -q -a -h --detach --interactive --tty --rm --privileged --init --read-only --publish-all --no-healthcheck
  --oom-kill-disable --sig-proxy --disable-content-trust --quiet --all-tags --replace --tls-verify --raw --all-platforms --local
  --plain-http --insecure --net-host --debug --no-hosts --env-host --rmi --use-api-socket`.split(/\s+/),
);
/** Programs that stand before the one that counts. */
const BEFORE = new Set(["sudo", "$", "#", "time", "exec", "command", "RUN", "-", "run:", "&&"]);

interface Word {
  text: string;
  start: number;
  end: number;
}

export function commandImages(text: string): Found[] {
  return commandsOf(text).flatMap((words) => imagesOf(words));
}

function imagesOf(words: Word[]): Found[] {
  const named = words.flatMap((word, at) => optionImage(word, words[at + 1]));
  const program = words.findIndex(({ text }) => !BEFORE.has(text) && !/^[A-Z_][A-Z0-9_]*=/.test(text));
  const first = words[program];
  if (!first || !PROGRAMS.has(first.text.split("/").at(-1) ?? "")) return named;
  const rest = words.slice(program + 1);
  const commandAt = positionals(rest, 3).find(({ text }) => !GROUPS.has(text));
  if (!commandAt || !COMMANDS.has(commandAt.text)) return skopeoImages(rest, named);
  const after = rest.slice(rest.indexOf(commandAt) + 1);
  const operands = positionals(after, MANY.has(commandAt.text) ? 64 : 1);
  return [...named, ...operands.flatMap((word) => imageIn(word))];
}

/** `skopeo copy docker://a docker://b`: the source. */
function skopeoImages(words: Word[], named: Found[]): Found[] {
  const source = words.find(({ text }) => text.startsWith("docker://"));
  if (!source) return named;
  const start = source.start + "docker://".length;
  const reference = parseReference(source.text.slice("docker://".length));
  return reference ? [...named, { start, end: source.end, reference }] : named;
}

/** `--image=nginx` and `--image nginx`, of kubectl and others. */
function optionImage(word: Word, next: Word | undefined): Found[] {
  if (word.text === "--image" && next) return imageIn(next);
  if (!word.text.startsWith("--image=")) return [];
  const length = "--image=".length;
  return imageIn({ text: word.text.slice(length), start: word.start + length, end: word.end });
}

function imageIn({ text, start, end }: Word): Found[] {
  const scheme = /^(?:docker|oci):\/\//.exec(text)?.[0].length ?? 0;
  const page = scheme === 0 ? referenceOfPage(text) : null;
  const reference = parseReference(page ?? text.slice(scheme));
  return reference ? [{ start: start + scheme, end, reference }] : [];
}

/** The first words that are no options and no option's value. */
function positionals(words: readonly Word[], most: number): Word[] {
  const found: Word[] = [];
  for (let at = 0; at < words.length && found.length < most; at++) {
    const word = words[at];
    if (!word) break;
    if (!word.text.startsWith("-") || word.text === "-") found.push(word);
    else if (takesValue(word.text)) at++;
  }
  return found;
}

function takesValue(option: string): boolean {
  if (option.includes("=") || FLAGS.has(option)) return false;
  // `-itd` are flags together; `-p80:80` has its value with it.
  return option.startsWith("--") || option.length === 2;
}

/** The commands of a text, as words without their quotes. A backslash at a line's end continues the command. */
function commandsOf(text: string): Word[][] {
  const commands: Word[][] = [];
  let words: Word[] = [];
  const end = (): void => {
    if (words.length > 0) commands.push(words);
    words = [];
  };
  const token = /\\\r?\n|[\n;]|&&|\|\|?|"[^"\n]*"|'[^'\n]*'|(?:\\.|[^\s;|&"'`\\]|&(?!&))+|[`\\"']/g;
  for (const { 0: part, index } of text.matchAll(token)) {
    if (/^\\\r?\n$/.test(part)) continue;
    if (/^(?:[\n;`]|&&|\|\|?)$/.test(part)) end();
    else words.push(unquoted(part, index));
  }
  end();
  return commands;
}

function unquoted(part: string, start: number): Word {
  const isQuoted = part.length > 1 && /^(["']).*\1$/.test(part);
  const inset = isQuoted ? 1 : 0;
  return {
    text: part.slice(inset, part.length - inset),
    start: start + inset,
    end: start + part.length - inset,
  };
}
