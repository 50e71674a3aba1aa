import { describe, expect, test, vi } from "vitest";
import { retry } from "../../src/registry/retry.ts";

/** Attempts that end as listed, one after the other: with a response of that status, or an error. */
function createAttempts(...outcomes: (number | Error)[]) {
  const cancelled: number[] = [];
  const attempt = vi.fn(async () => {
    const outcome = outcomes.shift();
    if (typeof outcome !== "number") throw outcome;
    const cancel = async () => void cancelled.push(outcome);
    return { status: outcome, body: { cancel } };
  });
  return { attempt, cancelled };
}

/** Everything but a 200 is retried. */
const untilOk = (outcome: PromiseSettledResult<{ status: number }>) =>
  outcome.status === "fulfilled" && outcome.value.status === 200 ? null : 0;

describe("a retried request", () => {
  test("is repeated after responses and errors until one is final, and leaves no body open", async () => {
    const { attempt, cancelled } = createAttempts(503, new Error("lost"), 200);
    expect((await retry(attempt, untilOk)).status).toBe(200);
    expect(attempt).toHaveBeenCalledTimes(3);
    expect(cancelled).toEqual([503]);
  });

  test("ends with the last attempt's error or response, its body unread", async () => {
    const lost = new Error("lost");
    const twice = (_: unknown, attempts: number) => (attempts < 2 ? 0 : null);
    await expect(retry(createAttempts(503, lost).attempt, twice)).rejects.toBe(lost);
    const { attempt, cancelled } = createAttempts(lost, 503);
    expect((await retry(attempt, twice)).status).toBe(503);
    expect(cancelled).toEqual([]);
  });

  test("isn't repeated once its signal has fired, before or during the pause", async () => {
    const reason = new Error("cancelled");
    const { attempt } = createAttempts(503);
    await expect(retry(attempt, () => 3_600_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const later = createAttempts(503);
    const retried = retry(later.attempt, () => 3_600_000, controller.signal);
    await expect.poll(() => later.cancelled).toEqual([503]);
    controller.abort(reason);
    await expect(retried).rejects.toBe(reason);
    expect(later.attempt).toHaveBeenCalledTimes(1);
  });
});
