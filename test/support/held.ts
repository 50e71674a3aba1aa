/** An upstream's response that is held back until those who are to share it wait for it, at whatever pace they come. */
import { expect, vi } from "vitest";
import { RepositoryResolver } from "../../src/index.ts";
import type { Behaviour } from "./fake-registry.ts";

/** To be added before the behaviour that follows. @param count requests that must have reached the repository's resolver. */
export function heldFor(count: number): Behaviour {
  const spies = (["resolve", "fetchManifest"] as const).map((name) =>
    vi.spyOn(RepositoryResolver.prototype, name),
  );
  const calls = () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  const enough = calls() + count;
  const transform = async (response: Response) => {
    await expect.poll(calls, { interval: 5 }).toBeGreaterThanOrEqual(enough);
    return response;
  };
  return { transform };
}
