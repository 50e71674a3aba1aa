/** Work that goes on behind a response. */
import type { WaitUntil } from "../registry/wait-until.ts";

/** The runtime's `waitUntil`; what fails there fails nothing else, and is logged. */
export function waitUntilOf(context: { waitUntil(work: Promise<unknown>): void }): WaitUntil {
  return (work) =>
    context.waitUntil(work.catch((error) => console.warn(`work in the background failed: ${error}`)));
}
