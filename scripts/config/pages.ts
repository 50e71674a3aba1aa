/** The pages of docs/clients: what each guide says of an example mirror, and what is different of another one. */
import { existsSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { CLIENT_ALIASES, CLIENTS, type ClientName } from "../../src/guides/clients.ts";
import type { Guide, GuideRequest, Step } from "../../src/guides/guide.ts";
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
  heading: string;
  introduction: string;
  request: GuideRequest;
}

/** What follows a page's first section; each is left out if nothing of it differs from that one. */
const VARIANTS: readonly Section[] = [
  {
    heading: "Only some registries",
    introduction: "With `--upstream docker.io,ghcr.io` and `--shape path` these steps differ:",
    request: { ...DEPLOYED, shape: "path" },
  },
  {
    heading: "With an access key",
    introduction: "With `--key-file` these steps differ. The key here is an example:",
    request: { ...DEPLOYED, key: EXAMPLE_KEY },
  },
  {
    heading: "A mirror on this machine",
    introduction: "For `http://127.0.0.1:8787`, as `npm start` has it, these steps differ:",
    request: LOCAL,
  },
];

/** These are about a mirror on one machine, whatever other clients are. */
const LOCAL_FIRST: Partial<Record<ClientName, GuideRequest>> = {
  nginx: { ...LOCAL, domain: "example.com" },
  "registry-behind": LOCAL,
};

/** @returns each page's text by its file's name */
export function clientPages(): Map<string, string> {
  const names = Object.keys(CLIENTS) as ClientName[];
  const pages = new Map<string, string>([["README.md", index(names)]]);
  for (const name of names) pages.set(`${name}.md`, page(name));
  return pages;
}

function index(names: readonly ClientName[]): string {
  const rows = names.map((name) => {
    const { title } = CLIENTS[name](DEPLOYED);
    const aliases = Object.entries(CLIENT_ALIASES).flatMap(([alias, of]) =>
      of === name ? [`\`${alias}\``] : [],
    );
    const called = [`\`${name}\``, ...aliases].join(", ");
    return `| [${title}](${name}.md) | ${called} | ${isWritable(name) ? "yes" : "no"} |`;
  });
  return `# Setting up clients

${top("README.md")}

Each page shows what a client's configuration is for an example mirror. For yours, with its address filled in:

\`\`\`sh
npm run portolan -- config containerd-2 --mirror https://mirror.example.com
\`\`\`

\`--write\` puts it into the client's files: it shows the difference, asks, inserts what is missing and keeps a copy of what was
there. The rest of a file stays as it is, with its comments, order, owner and mode. A change that would stop the client from
working, or alter what else the file says, is refused with what to do instead. \`--domain\` is for a mirror with [host routing](../deploy.md#host-routing), \`--key-file\` for one with access keys,
\`--upstream\` for some registries only. \`npm run portolan -- config --help\` explains them all.

From nothing to a running pod: [Kubernetes with containerd](../tutorials/kubernetes-containerd.md),
[k3d](../tutorials/k3d.md), [minikube](../tutorials/minikube.md).

| client | name | \`--write\` |
|---|---|---|
${rows.join("\n")}

When something doesn't work, see [troubleshooting](../troubleshooting.md).
`;
}

const MADE = "<!-- Made by `npm run docs` from src/guides. Change it there. -->";

/** What follows a page's title. docs/zh, which is written by hand, has some of the pages in Chinese. */
function top(file: string): string {
  const chinese = new URL(`../../docs/zh/clients/${file}`, import.meta.url);
  return existsSync(chinese) ? `${MADE}\n\n[中文](../zh/clients/${file})` : MADE;
}

function page(name: ClientName): string {
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
    return difference(section, base, guide(request));
  });
  return [`# ${base.title}`, top(`${name}.md`), command(name, first), ...body(base), ...sections, END].join(
    "\n\n",
  );
}

const END = "[All clients](README.md)\n";

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
  return `\`\`\`sh\nnpm run portolan -- config ${name} ${options.join(" ")}\n\`\`\`\n\nsays:`;
}

function body({ steps, notes }: Guide): string[] {
  return [
    ...steps.map((step, index) => stepText(step, index + 1)),
    ...(notes.length === 0 ? [] : ["## Notes", notesText(notes)]),
  ];
}

/** The steps and notes of a guide that aren't the same in another. */
function difference({ heading, introduction }: Section, base: Guide, other: Guide): string[] {
  const steps = other.steps.flatMap((step, index) =>
    base.steps.some((same) => isDeepStrictEqual(same, step)) ? [] : [stepText(step, index + 1)],
  );
  const notes = other.notes.filter((note) => !base.notes.includes(note));
  if (steps.length === 0) return [];
  return [`## ${heading}`, introduction, ...steps, ...(notes.length === 0 ? [] : [notesText(notes)])];
}

function notesText(notes: readonly string[]): string {
  return notes.map((note) => `- ${note}`).join("\n");
}

function stepText({ text, file, command: shell }: Step, number: number): string {
  const parts = [`**${number}.** ${text}`];
  if (file) parts.push(`\`${file.path}\`:`, `\`\`\`${file.language}\n${file.content.trimEnd()}\n\`\`\``);
  if (shell) parts.push(`\`\`\`sh\n${shell}\n\`\`\``);
  return parts.join("\n\n");
}
