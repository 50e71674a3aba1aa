/** The pages of docs/clients and docs/zh/clients: what each guide says of an example mirror, and what is different of another one. */
import { isDeepStrictEqual } from "node:util";
import { CLIENT_ALIASES, CLIENTS, type ClientName } from "../../src/guides/clients.ts";
import type { Guide, GuideRequest, Step } from "../../src/guides/guide.ts";
import type { PageTexts } from "./page-texts.ts";
import { isWritable } from "./writable.ts";

const NAMED = ["docker.io", "ghcr.io"];
/** Of a key's form, and for everyone to see that it is none. */
const EXAMPLE_KEY = "examplekeyexamplekeyexamplekey23";

const DEPLOYED: GuideRequest = {
  mirror: new URL("https://mirror.example.com"),
  domain: "example.com",
  upstreams: NAMED,
  key: null,
  shape: null,
};
const LOCAL: GuideRequest = { ...DEPLOYED, mirror: new URL("http://127.0.0.1:8787"), domain: null };

interface Section {
  texts: "partly" | "keyed" | "local";
  request: GuideRequest;
}

/** What follows a page's first section; each is left out if nothing of it differs from that one. */
const VARIANTS: readonly Section[] = [
  { texts: "partly", request: { ...DEPLOYED, shape: "path" } },
  { texts: "keyed", request: { ...DEPLOYED, key: EXAMPLE_KEY } },
  { texts: "local", request: LOCAL },
];

/** These are about a mirror on one machine, whatever other clients are. */
const LOCAL_FIRST: Partial<Record<ClientName, GuideRequest>> = {
  nginx: { ...LOCAL, domain: "example.com" },
  "registry-behind": LOCAL,
};

/** @returns each page's text by its file's name */
export function clientPages(texts: PageTexts): Map<string, string> {
  const names = Object.keys(CLIENTS) as ClientName[];
  const pages = new Map<string, string>([["README.md", index(names, texts)]]);
  for (const name of names) pages.set(`${name}.md`, page(name, texts));
  return pages;
}

function index(names: readonly ClientName[], texts: PageTexts): string {
  const rows = names.map((name) => {
    const { title } = CLIENTS[name](DEPLOYED);
    const aliases = Object.entries(CLIENT_ALIASES).flatMap(([alias, of]) =>
      of === name ? [`\`${alias}\``] : [],
    );
    const called = [`\`${name}\``, ...aliases].join(texts.comma);
    return `| [${texts.title(title)}](${name}.md) | ${called} | ${isWritable(name) ? texts.yes : texts.no} |`;
  });
  return texts.index(texts.top("README.md"), rows.join("\n"));
}

function page(name: ClientName, texts: PageTexts): string {
  const guide = CLIENTS[name];
  const first = LOCAL_FIRST[name] ?? { ...DEPLOYED, upstreams: takesAll(name) ? null : NAMED };
  const base = guide(first);
  const sections = VARIANTS.flatMap((section) => {
    const { shape } = section.request;
    if (LOCAL_FIRST[name] !== undefined && section.request.key === null) return [];
    if (shape !== null && !takesAll(name)) return [];
    const request = {
      ...section.request,
      ...(LOCAL_FIRST[name] && { ...first, key: section.request.key }),
      ...(shape === null && { upstreams: first.upstreams }),
    };
    return difference(texts, section, base, guide(request));
  });
  return [
    `# ${texts.title(base.title)}`,
    texts.top(`${name}.md`),
    `${command(name, first)}\n\n${texts.says}`,
    ...body(texts, base),
    ...sections,
    `[${texts.end}](README.md)\n`,
  ].join("\n\n");
}

/** Whether the client has a way to name one mirror for all registries, which makes a file or entry the fewer. */
function takesAll(name: ClientName): boolean {
  const size = (upstreams: readonly string[] | null): number =>
    JSON.stringify(CLIENTS[name]({ ...DEPLOYED, upstreams }).steps).length;
  return size(null) < size(NAMED);
}

function command(name: ClientName, { mirror, domain, upstreams }: GuideRequest): string {
  const options = [
    `--mirror ${mirror.origin}`,
    ...(domain === null ? [] : [`--domain ${domain}`]),
    ...(upstreams === null ? [] : [`--upstream ${upstreams.join(",")}`]),
  ];
  return `\`\`\`sh\nnpm run portolan -- config ${name} ${options.join(" ")}\n\`\`\``;
}

function body(texts: PageTexts, { steps, notes }: Guide): string[] {
  return [
    ...steps.map((step, index) => stepText(texts, step, index + 1)),
    ...(notes.length === 0 ? [] : [`## ${texts.notes}`, notesText(texts, notes)]),
  ];
}

/** The steps and notes of a guide that aren't the same in another. */
function difference(texts: PageTexts, section: Section, base: Guide, other: Guide): string[] {
  const steps = other.steps.flatMap((step, index) =>
    base.steps.some((same) => isDeepStrictEqual(same, step)) ? [] : [stepText(texts, step, index + 1)],
  );
  const notes = other.notes.filter((note) => !base.notes.includes(note));
  if (steps.length === 0) return [];
  const { heading, introduction } = texts[section.texts];
  return [`## ${heading}`, introduction, ...steps, ...(notes.length === 0 ? [] : [notesText(texts, notes)])];
}

function notesText(texts: PageTexts, notes: readonly string[]): string {
  return notes.map((note) => `- ${texts.of(note)}`).join("\n");
}

function stepText(texts: PageTexts, { text, file, command: shell }: Step, number: number): string {
  const parts = [`**${number}.** ${texts.of(text)}`];
  if (file) parts.push(texts.path(file.path), `\`\`\`${file.language}\n${file.content.trimEnd()}\n\`\`\``);
  if (shell) parts.push(`\`\`\`sh\n${shell}\n\`\`\``);
  return parts.join("\n\n");
}
