/** The mirrors that guides are requested about in tests, and the files of a guide as their clients would read them. */
import { parse as parseToml } from "smol-toml";
import { parseAllDocuments, parse as parseYaml } from "yaml";
import { CLIENTS, type ClientName } from "../../src/guides/clients.ts";
import type { GuideRequest } from "../../src/guides/guide.ts";

/** 32 letters, as the mirror makes them. */
export const KEY = "abcdefghijklmnopqrstuvwxyz234567";

/** An open mirror with host routing, requested about two registries. */
export const OPEN: GuideRequest = {
  mirror: new URL("https://mirror.example.com"),
  domain: "example.com",
  upstreams: ["docker.io", "ghcr.io"],
  key: null,
  shape: null,
};

/** As `npm start` makes one. */
export const LOCAL: GuideRequest = { ...OPEN, mirror: new URL("http://127.0.0.1:8787"), domain: null };

export const ALL_CLIENTS = Object.keys(CLIENTS) as ClientName[];

export interface ReadFile {
  path: string;
  /** What the file says in its own format; for YAML of several documents a list of them. */
  says: unknown;
}

export function filesOf(client: ClientName, request: GuideRequest): ReadFile[] {
  return CLIENTS[client](request).steps.flatMap(({ file }) =>
    file ? [{ path: file.path, says: read(file.language, file.content) }] : [],
  );
}

export function fileAt(client: ClientName, request: GuideRequest, path: string): unknown {
  const found = filesOf(client, request).find((file) => file.path === path);
  if (!found) throw new Error(`${client} has no ${path}`);
  return found.says;
}

export function commandsOf(client: ClientName, request: GuideRequest): string {
  return CLIENTS[client](request)
    .steps.map(({ command }) => command ?? "")
    .join("\n");
}

export function notesOf(client: ClientName, request: GuideRequest): string {
  return CLIENTS[client](request).notes.join("\n");
}

function read(language: string, content: string): unknown {
  if (language === "json") return JSON.parse(content);
  if (language === "toml") return parseToml(content);
  if (language !== "yaml") return content;
  const documents = parseAllDocuments(content);
  return documents.length === 1 ? parseYaml(content) : documents.map((each) => each.toJS());
}
