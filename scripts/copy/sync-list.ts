/** Reads the list of what `sync` is to copy: YAML with settings, or text with a source and a target on each line. */
import * as v from "valibot";
import { parse, YAMLParseError } from "yaml";
import { splitRegistry } from "../registry/reference.ts";
import { isPattern, pattern } from "./patterns.ts";

/** What one entry of a list means, before any registry has been requested. */
export interface Entry {
  /** Where it stands: `line 3`, `images[2]`. */
  where: string;
  registry: string;
  /** Perhaps a pattern. */
  repository: string;
  /** Tags and patterns of them; or a digest alone. */
  tags: readonly string[];
  digest: string | null;
  /** Patterns of tags that are left out. */
  exclude: readonly string[];
  /** Of the tags that patterns match only the versions, and of those only so many, the highest; null for all. */
  newest: number | null;
  /** Where to; with a slash at its end the source's repository follows. */
  to: string;
  /** As `linux/amd64`; null for all. */
  platform: string | null;
  referrers: boolean;
}

/** What holds for all entries that don't say otherwise. */
export interface Defaults {
  platform: string | null;
  referrers: boolean;
}

/** YAML reads 1.10 as the number 1.1, so that the tag that was meant is lost. */
function unlessText(message: string): (issue: { input: unknown }) => string {
  return ({ input }) => {
    const isOther = (value: unknown): boolean => typeof value === "number" || typeof value === "boolean";
    const found = (Array.isArray(input) ? input : [input]).find(isOther);
    return found === undefined
      ? message
      : `${message}: ${found} is a ${typeof found} in YAML, so write it in quotes`;
  };
}

const Text = v.pipe(v.string(unlessText("must be text")), v.trim(), v.nonEmpty("mustn't be empty"));
const Patterns = v.union(
  [
    v.array(Text),
    v.pipe(
      Text,
      v.transform((text) => [text]),
    ),
  ],
  unlessText("must be a tag or a pattern, or a list of them"),
);
const PlatformName = v.pipe(
  Text,
  v.regex(/^(all|[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9.]+)?)$/, "must be all, or such as linux/amd64"),
);
const Settings = {
  to: v.optional(Text),
  platform: v.optional(PlatformName),
  referrers: v.optional(v.boolean("must be true or false")),
};
const Image = v.strictObject({
  from: Text,
  tags: v.optional(Patterns),
  exclude: v.optional(Patterns),
  newest: v.optional(
    v.pipe(v.number("must be a number"), v.integer("must be whole"), v.minValue(1, "must be 1 or more")),
  ),
  ...Settings,
});
const List = v.strictObject({
  images: v.array(
    v.union([Text, Image], "must be a reference, or a mapping with from and other settings"),
    "must be a list",
  ),
  ...Settings,
});

type ImageSettings = v.InferOutput<typeof Image>;

/**
 * @param name the file's: `.yaml`, `.yml` and `.json` are read as YAML, anything else as text.
 * @throws Error that says where it is wrong.
 */
export function parseList(content: string, name: string, defaults: Defaults): Entry[] {
  const entries = /\.(ya?ml|json)$/i.test(name) ? fromYaml(content, defaults) : fromText(content, defaults);
  if (entries.length === 0) throw new Error("it names no images");
  return entries;
}

/**
 * The one entry of a source and a target: all tags of the repositories that the source names, where it says no tag.
 * @throws Error that says what is wrong with one of them.
 */
export function parsePair(from: string, to: string, defaults: Defaults): Entry {
  const where = "the source";
  const { rest } = splitRegistry(from);
  const [, , tag, digest] = NAME.exec(rest) ?? [];
  const isWhole = tag === undefined && digest === undefined;
  return entry(where, { from, to, ...(isWhole && { tags: ["*"] }) }, defaults);
}

function fromText(content: string, defaults: Defaults): Entry[] {
  return content.split(/\r?\n/).flatMap((line, index) => {
    const [from, to, ...rest] = line
      .replace(/(^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    const where = `line ${index + 1}`;
    if (from === undefined || from === "") return [];
    if (to === undefined || rest.length > 0) {
      throw new Error(`${where}: it must have a source and a target, separated by a space`);
    }
    return [entry(where, { from, to }, defaults)];
  });
}

function fromYaml(content: string, defaults: Defaults): Entry[] {
  let json: unknown;
  try {
    json = parse(content);
  } catch (error) {
    if (error instanceof YAMLParseError) throw new Error(`it isn't YAML: ${error.message.split("\n")[0]}`);
    throw error;
  }
  const read = v.safeParse(List, json);
  if (!read.success) throw new Error(read.issues.map(describe).join("; "));
  const { images, to, platform, referrers } = read.output;
  return images.map((image, index) =>
    entry(
      `images[${index}]`,
      { ...(to !== undefined && { to }), ...(typeof image === "string" ? { from: image } : image) },
      {
        platform: platform === undefined ? defaults.platform : platformOf(platform),
        referrers: referrers ?? defaults.referrers,
      },
    ),
  );
}

/** A repository, which may be a regular expression between slashes, and a tag or digest. */
const NAME = /^(\/.+?\/(?=$|[:@])|[^:@]*)(?::([^@]*))?(?:@(.+))?$/s;

function entry(where: string, image: ImageSettings, defaults: Defaults): Entry {
  const { from, to, tags, exclude = [], newest = null, platform, referrers } = image;
  const wrong = (why: string) => new Error(`${where}: ${why}`);
  if (to === undefined) throw wrong(`${from} has no to, and the list has none for all`);
  if (/^[a-z]+:\/\//.test(from) || /^[a-z]+:\/\//.test(to)) throw wrong("a reference has no scheme");
  const { registry, rest } = splitRegistry(from);
  const [, repository = "", tag, digest] = NAME.exec(rest) ?? [];
  if (repository === "") throw wrong(`${from} names no repository`);
  if (tags && (tag !== undefined || digest !== undefined))
    throw wrong(`${from} has a tag, and tags are given too`);
  if (isPattern(repository) && !to.endsWith("/")) {
    throw wrong(
      `${from} stands for several repositories: end to with /, so that each keeps its name below it`,
    );
  }
  try {
    for (const each of [...(tags ?? []), ...exclude]) pattern(each);
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
  return {
    where,
    registry,
    repository: registry === "docker.io" && !repository.includes("/") ? `library/${repository}` : repository,
    tags: tags ?? (tag !== undefined ? [tag] : digest === undefined ? ["latest"] : []),
    digest: digest ?? null,
    exclude,
    newest,
    to,
    platform: platform === undefined ? defaults.platform : platformOf(platform),
    referrers: referrers ?? defaults.referrers,
  };
}

function platformOf(text: string): string | null {
  return text === "all" ? null : text;
}

/** `images[2].newest must be whole`: of a value that may be several things, what is wrong with what it most likely is. */
function describe(issue: v.BaseIssue<unknown>): string {
  const inner = issue.issues?.find(({ path }) => path !== undefined);
  const path = [...(issue.path ?? []), ...(inner?.path ?? [])];
  const reported = inner ?? issue;
  const where = path.reduce(
    (text, { key }) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`),
    "",
  );
  if (reported.type === "strict_object" && reported.expected === "never")
    return `${where} is nothing that is known here`;
  if (reported.type === "strict_object" && reported.received === "undefined") return `${where} is missing`;
  if (reported.type === "strict_object") return "it must have images, a list";
  return `${where} ${reported.message}`;
}
