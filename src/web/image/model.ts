/** What an image is made of, put together from its manifests and its config: pure. */
import type { Digest } from "../../oci/digest.ts";
import type { Descriptor, Manifest, Platform } from "../../oci/manifest.ts";

export interface Layer {
  digest: Digest;
  mediaType: string;
  /** Bytes, as compressed. */
  size: number;
  /** What made it, as in a Dockerfile; null where the config doesn't say. */
  command: string | null;
}

export interface ImageConfig {
  created: string | null;
  author: string | null;
  /** Name and value, in the order in which people read them. */
  settings: { name: string; values: string[] }[];
  labels: [string, string][];
  /** Of every step, those included that made no layer. */
  history: { command: string; isEmpty: boolean }[];
}

/** An entry of an index that is an image, and not an attestation about one. */
export function platformsOf({ manifests }: Manifest): (Descriptor & { platform: Platform })[] {
  return manifests.flatMap((each) =>
    each.platform && each.platform.os !== "unknown" ? [{ ...each, platform: each.platform }] : [],
  );
}

/** `linux/arm64/v8` */
export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

/** The entry to show: of the platform that was chosen, else linux/amd64, else the first. */
export function chooseEntry(manifest: Manifest, chosen: string | null): Descriptor | null {
  const entries = platformsOf(manifest);
  const named = (name: string) => entries.find(({ platform }) => platformName(platform) === name);
  return named(chosen ?? "") ?? named("linux/amd64") ?? entries[0] ?? manifest.manifests[0] ?? null;
}

export function layersOf({ layers }: Manifest, config: ImageConfig | null): Layer[] {
  const commands = (config?.history ?? []).filter(({ isEmpty }) => !isEmpty);
  // Squashed and converted images have another number of layers than their history says.
  const isAligned = commands.length === layers.length;
  return layers.map(({ digest, mediaType, size }, at) => ({
    digest,
    mediaType,
    size,
    command: isAligned ? (commands[at]?.command ?? null) : null,
  }));
}

export function sizeOf(layers: readonly { size: number }[]): number {
  return layers.reduce((sum, { size }) => sum + size, 0);
}

/** Steps of the longest history. An image has some tens of layers, and a history of more only costs time. */
const MOST_STEPS = 5000;

/** Reads an image's config (image-spec, config.md); null for what is none. Every part may be missing or of another kind. */
export function readConfig(text: string): ImageConfig | null {
  const config = parse(text);
  if (!isObject(config)) return null;
  const runtime = isObject(config.config) ? config.config : {};
  const settings = [
    { name: "ENTRYPOINT", values: strings(runtime.Entrypoint) },
    { name: "CMD", values: strings(runtime.Cmd) },
    { name: "WORKDIR", values: strings([runtime.WorkingDir]) },
    { name: "USER", values: strings([runtime.User]) },
    { name: "EXPOSE", values: keys(runtime.ExposedPorts) },
    { name: "VOLUME", values: keys(runtime.Volumes) },
    { name: "STOPSIGNAL", values: strings([runtime.StopSignal]) },
    { name: "ENV", values: strings(runtime.Env) },
  ];
  const labels = isObject(runtime.Labels) ? Object.entries(runtime.Labels) : [];
  const steps = Array.isArray(config.history) ? config.history : [];
  const history = steps.length > MOST_STEPS ? [] : steps.filter(isObject);
  return {
    created: string(config.created),
    author: string(config.author),
    settings: settings.filter(({ values }) => values.length > 0),
    labels: labels.filter((pair): pair is [string, string] => typeof pair[1] === "string"),
    history: history.map((step) => ({
      command: readable(string(step.created_by) ?? string(step.comment) ?? ""),
      isEmpty: step.empty_layer === true,
    })),
  };
}

/** A step as a Dockerfile has it, without what Docker and BuildKit write around it. */
function readable(command: string): string {
  const [, instruction] = /^\/bin\/sh -c #\(nop\)\s+(.*)$/s.exec(command) ?? [];
  if (instruction !== undefined) return instruction.trim();
  const [, run] = /^(?:RUN )?(?:\|\d+ .*?)?\/bin\/sh -c (.*)$/s.exec(command) ?? [];
  return (run === undefined ? command : `RUN ${run}`).replace(/ # buildkit$/, "").trim();
}

type Json = Record<string, unknown>;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function string(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string" && each !== "") : [];
}

function keys(value: unknown): string[] {
  return isObject(value) ? Object.keys(value) : [];
}
