/** Hosted repositories as their records have them: a client that pushes, and a clock that the test moves. */
import type { HostedRecords } from "../../src/index.ts";
import { localPusher } from "../push/support.ts";
import { useMirror } from "../support/mirror.ts";

export const HOUR = 3600 * 1000;
export const DAY = 24 * HOUR;

/** To be called at the top of a test file. */
export function useHosted(vars: Record<string, unknown> = {}) {
  const mirror = useMirror({ LOOPBACK: true, ...vars });
  const records = () =>
    mirror.bindings.HOSTED.getByName("hosted") as unknown as DurableObjectStub<HostedRecords>;
  return {
    mirror,
    client: localPusher(mirror),
    records,
    collect: (isDryRun = false) => records().collect(isDryRun),
    pass: (milliseconds: number) => {
      mirror.clock.ahead += milliseconds;
    },
  };
}
