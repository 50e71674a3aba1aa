/** Copies all that a list means, and goes on after what fails. */
import pLimit from "p-limit";
import { type RegistryClient, remoteOf, writable } from "../registry/client.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import type { Progress } from "../terminal/progress.ts";
import { type Copied, Copier, type Job } from "./copier.ts";
import { expand } from "./expand.ts";
import { Registries } from "./registry-io.ts";
import type { Entry } from "./sync-list.ts";

/** What became of one image, or of an entry that no image was found for. */
export type Outcome =
  | { state: "copied" | "unchanged"; source: string; target: string; copied: Copied }
  | { state: "planned"; source: string; target: string }
  | { state: "failed"; source: string; target: string; error: string };

export interface SyncOptions {
  client: RegistryClient;
  progress: Progress;
  /** Blobs at a time. */
  parallel: number;
  /** Whether only to find out what would be copied. */
  dryRun: boolean;
  /** Called with each outcome as it comes. */
  onOutcome: (outcome: Outcome) => void;
  /** The words for what was thrown. */
  describe: (error: unknown) => string;
}

/** Images under way at a time: what limits the work are the blobs, and an image that is there needs few requests. */
const IMAGES = 3;

/**
 * Never rejects for what a registry does: that is in the outcomes.
 * @returns the outcomes in the list's order.
 */
export async function sync(entries: readonly Entry[], options: SyncOptions): Promise<Outcome[]> {
  const { client, progress, describe, dryRun, onOutcome } = options;
  const copier = new Copier(options);
  const registries = new Registries(client);
  const outcomes: Promise<Outcome>[] = [];
  const note = (coming: Outcome | Promise<Outcome>) =>
    outcomes.push(
      Promise.resolve(coming).then((outcome) => {
        onOutcome(outcome);
        return outcome;
      }),
    );
  const limit = pLimit(IMAGES);
  /** By target, what goes there. */
  const claims = new Map<string, string>();
  for (const entry of entries) {
    try {
      const looked = `${entry.registry}/${entry.repository}`;
      for (const { source, target } of await progress.during(looked, expand(client, entry))) {
        const names = { source: formatReference(source), target: formatReference(target) };
        const claim = `${names.source} for ${entry.platform ?? "all platforms"}`;
        // Without a tag any number can be there.
        const remote = target.tag === null ? `${names.target} ${names.source}` : names.target;
        const other = claims.get(remote);
        if (other === claim) continue;
        claims.set(remote, other ?? claim);
        if (other !== undefined) {
          note({ state: "failed", ...names, error: `${entry.where}: ${other} goes there already` });
        } else {
          const job = jobOf(registries, source, target, entry);
          const work = dryRun ? planOne : copyOne;
          const run = () => progress.during(names.target, work(copier, job, describe));
          note(limit(async () => ({ ...names, ...(await run()) })));
        }
      }
    } catch (error) {
      const source = `${entry.registry}/${entry.repository}`;
      note({ state: "failed", source, target: entry.to, error: `${entry.where}: ${describe(error)}` });
    }
  }
  return Promise.all(outcomes);
}

/** The copy from reference to reference. */
function jobOf(
  registries: Registries,
  source: ImageReference,
  target: ImageReference,
  { platform, referrers }: Pick<Job, "platform" | "referrers">,
): Job {
  return {
    source: registries.source(remoteOf(source), manifestReference(source)),
    target: registries.target(writable(remoteOf(target))),
    tag: target.tag,
    platform,
    referrers,
  };
}

/** What becomes of one image. */
type Result =
  | { state: "copied" | "unchanged"; copied: Copied }
  | { state: "planned" }
  | { state: "failed"; error: string };

async function planOne(copier: Copier, job: Job, describe: SyncOptions["describe"]): Promise<Result> {
  try {
    const found = await copier.find(job);
    return found ? { state: "unchanged", copied: found } : { state: "planned" };
  } catch (error) {
    return { state: "failed", error: describe(error) };
  }
}

async function copyOne(copier: Copier, job: Job, describe: SyncOptions["describe"]): Promise<Result> {
  try {
    const copied = await copier.copy(job);
    return { state: copied.unchanged ? "unchanged" : "copied", copied };
  } catch (error) {
    return { state: "failed", error: describe(error) };
  }
}
