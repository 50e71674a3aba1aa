/** A guide explains how to configure one client for one mirror, as data that the command line, docs/clients and the web page all render. */
import { stringify as stringifyToml } from "smol-toml";
import { yamlText } from "./yaml.ts";

/** The four forms in which a request can name its upstream (README, "Names"). */
export const SHAPES = ["host", "path", "prefix", "ns"] as const;
export type Shape = (typeof SHAPES)[number];

export interface GuideRequest {
  /** Where the mirror is: scheme, host and port, without a path. */
  mirror: URL;
  /** The mirror's DOMAIN, under which `docker.<domain>` and other host labels reach it; null if it has none. */
  domain: string | null;
  /** Names of upstreams; null means all that the mirror has. */
  upstreams: readonly string[] | null;
  /** An access key of the mirror; null if the mirror is open. */
  key: string | null;
  /** The form to use if a client supports several; null leaves the choice to the guide. */
  shape: Shape | null;
}

export interface GuideFile {
  /** Where the client looks for it. `~` is the user's home; a relative path is relative to the user's working directory. */
  path: string;
  language: "json" | "toml" | "yaml" | "nginx" | "text";
  content: string;
}

export interface Step {
  /** A sentence or two, with names in backquotes. */
  text: string;
  file?: GuideFile;
  /** Lines for a shell. */
  command?: string;
}

export interface Guide {
  title: string;
  steps: readonly Step[];
  /** Further notes: what the client can't do, and what it does silently. */
  notes: readonly string[];
}

/** A step for each of several files that are alike, such as one for each registry. */
export function fileSteps(files: readonly GuideFile[], text: string): Step[] {
  return files.map((file, index) => ({ text: index === 0 ? text : "The same for the next registry.", file }));
}

/** An image to test the configuration with, from a registry that is mirrored. */
export function exampleImage({ upstreams }: Pick<GuideRequest, "upstreams">): string {
  const [first = "docker.io"] = upstreams ?? [];
  if (upstreams === null || upstreams.includes("docker.io")) return "docker.io/library/alpine:latest";
  return `${first}/OWNER/IMAGE:TAG`;
}

/** A JSON file as people write them. */
export function json(path: string, value: object): GuideFile {
  return { path, language: "json", content: `${JSON.stringify(value, null, 2)}\n` };
}

export function toml(path: string, value: Record<string, unknown>): GuideFile {
  return { path, language: "toml", content: stringifyToml(value) };
}

/** @param documents one, or several that one file holds */
export function yaml(path: string, ...documents: readonly object[]): GuideFile {
  return { path, language: "yaml", content: documents.map((each) => yamlText(each)).join("---\n") };
}
