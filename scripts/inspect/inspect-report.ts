/** The way of a pull as a table, a line a step, and what it comes to. */

import { sizeOf } from "../image/image.ts";
import { good, quiet, strong, warning } from "../terminal/colours.ts";
import { count, shortDigest, shortMirror, size } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import { sizesOf } from "./sizes.ts";
import type { Step, Walk } from "./walk.ts";

/** Characters of a layer's command that are shown. */
const COMMAND = 60;

export function walkReport(way: Walk, mirror: string): string {
  const { image, platform, index, manifest, config, layers, referrers } = way;
  const platforms = index
    ? `${count(index.platforms.length, "platform")}: ${index.platforms.join(", ")}`
    : "";
  const made = config?.made ? `, made ${config.made.slice(0, 10)}` : "";
  const id = config ? `image id ${shortDigest(config.digest).replace(/^.*:/, "")}${made}` : "";
  const rows = [
    ...(index ? [["index", ...cells(index), platforms]] : []),
    ["manifest", ...cells(manifest), platform],
    ...(config ? [["config", ...cells(config), id]] : []),
    ...layers.map((layer, at) => [`layer ${at + 1}`, ...cells(layer), quiet(shortened(layer.madeBy ?? ""))]),
    ...referrers.map(({ kind, digest, size: bytes }) => [
      "referrer",
      digest === null ? "" : shortDigest(digest),
      bytes === null ? "" : size(bytes),
      "",
      kind,
    ]),
  ];
  const numbered = rows.map((row, at) => [quiet(String(at + 1)), ...row]);
  return [
    strong(image),
    quiet(`  as it is pulled through ${shortMirror(mirror)} for ${platform}`),
    "",
    table(numbered, { right: [0, 3], indent: 2 }),
    "",
    ...(way.platforms.length > 0 ? [platformTable(way), ""] : []),
    total(way),
  ].join("\n");
}

function cells(step: Step): string[] {
  return [shortDigest(step.digest), size(step.size), storedWord(step.stored)];
}

function storedWord(stored: boolean | null): string {
  if (stored === null) return quiet("–");
  return stored ? good("stored") : warning("not stored");
}

function shortened(command: string): string {
  return command.length > COMMAND ? `${command.slice(0, COMMAND - 1)}…` : command;
}

function platformTable({ platforms }: Walk): string {
  const sizes = sizesOf(platforms);
  const rows = sizes.platforms.map(({ name, total: all, shared }) => [name, size(all), size(shared)]);
  const sum = ["all together", size(sizes.total), ""];
  return table([...rows, sum], { head: ["", "size", "shared"].map(quiet), right: [1, 2], indent: 2 });
}

function total({ platform, manifest, config, layers, referrers }: Walk): string {
  const steps = [manifest, ...(config ? [config] : []), ...layers];
  const unique = [...new Map(steps.map((step) => [step.digest, step])).values()];
  const sum = (of: readonly Step[]) => size(sizeOf(of));
  const missing = unique.filter(({ stored }) => stored === false);
  const unknown = unique.some(({ stored }) => stored === null);
  const beside = referrers.length === 0 ? "no signatures or SBOMs" : count(referrers.length, "referrer");
  const state = unknown
    ? "the mirror doesn't say what it has stored"
    : missing.length === 0
      ? "all of it stored in the mirror"
      : `${sum(missing)} still to be fetched from the registry`;
  return `${sum(unique)} for ${platform}, ${state}; ${beside}`;
}
