/** Files and folders that are written beside where they belong, and take their place once they are whole. */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { rename } from "node:fs/promises";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface Incoming {
  /** Where it is written to. */
  path: string;
  publish(): Promise<void>;
  /** Removes it, unless it was published. */
  discard(): void;
}

/** @param beside what the temporary name begins with: in the same file system as `target`. */
export function incomingFor(target: string, beside = target): Incoming {
  const path = `${beside}.${randomUUID()}.tmp`;
  const discard = () => {
    for (const signal of SIGNALS) process.off(signal, interrupted);
    rmSync(path, { recursive: true, force: true });
  };
  // An interrupt must leave nothing behind, and end the process all the same.
  const interrupted = (signal: NodeJS.Signals) => {
    discard();
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.once(signal, interrupted);
  return {
    path,
    discard,
    publish: async () => {
      await rename(path, target);
      discard();
    },
  };
}
