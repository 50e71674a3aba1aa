/** What became of copies, in words, and the options that `copy` and `sync` share. */
import { InvalidArgumentError, Option } from "commander";
import { bad, good, quiet } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Copied } from "./copier.ts";
import type { Outcome } from "./sync-images.ts";

/**
 * `✓ 127.0.0.1:5000/owner/image:1 is copied: 3 blobs sent (12 MB), 1 already there  sha256:…`.
 * @param done what a copy is called here: `pushed`.
 */
export function copiedLine(target: string, copied: Copied, done = "copied"): string {
  const { unchanged, sent, mounted, present, manifests, referrers, bytes, digest } = copied;
  const parts = [
    sent > 0 && `${count(sent, "blob")} sent (${size(bytes)})`,
    mounted > 0 && `${mounted} mounted`,
    present > 0 && `${present} already there`,
    manifests > 0 && count(manifests, "manifest"),
    referrers > 0 && count(referrers, "referrer"),
  ].filter((part) => part !== false);
  const outcome = unchanged && sent + mounted + manifests === 0 ? "is up to date" : `is ${done}`;
  return `${good("✓")} ${target} ${outcome}${parts.length > 0 ? `: ${parts.join(", ")}` : ""} ${quiet(digest)}`;
}

export function outcomeLine(outcome: Outcome): string {
  const { state, source, target } = outcome;
  if (state === "failed") return `${bad("✗")} ${source} → ${target}: ${outcome.error}`;
  if (state === "planned") return `${source} → ${target}`;
  return copiedLine(target, outcome.copied);
}

/** `12 images: 3 copied, 8 up to date, 1 failed`. */
export function summaryOf(outcomes: readonly Outcome[]): string {
  const words = { copied: "copied", unchanged: "up to date", planned: "would be copied", failed: "failed" };
  const parts = Object.entries(words).flatMap(([state, word]) => {
    const number = outcomes.filter((outcome) => outcome.state === state).length;
    return number === 0 ? [] : [`${number} ${word}`];
  });
  return `${count(outcomes.length, "image")}: ${parts.join(", ")}`;
}

export function parallelOption(): Option {
  return new Option("--parallel <number>", "blobs at a time").default(4).argParser((text) => {
    if (/^[1-9]\d?$/.test(text)) return Number(text);
    throw new InvalidArgumentError("It must be from 1 to 99.");
  });
}
