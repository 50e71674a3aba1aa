/** Tests named by the faults of test/faults/list.ts that only show on a socket. */
import { expect, test } from "vitest";
import { FAULTS, type Fault, nameOf, OVER_SOCKETS } from "../../faults/list.ts";

/**
 * Called at the top of a test file: the function that it returns defines a test of a fault, which runs beside the others.
 * @param isOwn whether a fault is the file's; together its tests must cover all of those.
 */
export function useFaults(
  isOwn: (fault: Fault) => boolean,
): (name: Fault, variant: string | null, run: () => Promise<void>) => void {
  const seen = new Set<Fault>();
  test("each fault that only shows on a wire has its test", () => {
    expect(seen).toEqual(new Set(OVER_SOCKETS.filter(isOwn)));
  });
  return (name, variant, run) => {
    seen.add(name);
    test.concurrent(nameOf(name, variant ?? undefined), run);
  };
}

const INPUT: ReadonlySet<Fault> = new Set(FAULTS.input);

/** Whether a fault is one of a client's requests. */
export function isOfInput(fault: Fault): boolean {
  return INPUT.has(fault);
}
