/** Whether this machine's clock is right, by what servers say the time is (RFC 9110 §6.6.1, Date). */
import { span } from "../terminal/words.ts";
import { bad, type Check, doubtful, good, skipped } from "./check.ts";

export interface Reading {
  host: string;
  /** Whether it is this machine itself, whose clock proves nothing. */
  isHere: boolean;
  /** The answer's Date; null if it has none. */
  date: string | null;
  /** Milliseconds since 1970 by this machine's clock: in the middle between question and answer. */
  at: number;
}

/** Seconds: Date has no fractions, and an answer may be on its way for some. */
const TOLERANCE = 30;
/** Seconds beyond which tokens, which often hold for five minutes, are refused or taken to be fresh for too long. */
const HARMFUL = 240;

const ADVICE =
  "Set it by the network: `timedatectl set-ntp true`, or `chronyc makestep`. Certificates, tokens and signed URLs are refused " +
  "at the wrong time.";

/** The verdict of the readings; one server's opinion is enough unless another contradicts it. */
export function judgeClock(readings: readonly Reading[]): Check {
  const offsets = readings.flatMap((reading) => {
    const said = Date.parse(reading.date ?? "");
    return reading.isHere || Number.isNaN(said) ? [] : [{ ...reading, ahead: (reading.at - said) / 1000 }];
  });
  const [first] = offsets;
  if (first === undefined) return skipped("clock", "nobody but this machine itself told the time");
  const off = offsets.filter(({ ahead }) => Math.abs(ahead) > TOLERANCE);
  const [one] = off;
  if (one === undefined) return good("clock", `agrees with ${offsets.map(({ host }) => host).join(" and ")}`);
  const others = offsets.filter(({ ahead }) => Math.abs(ahead) <= TOLERANCE);
  if (others.length > 0) {
    return doubtful(
      "clock",
      `this machine agrees with ${others.map(({ host }) => host).join(" and ")}, but ${one.host} is ${difference(-one.ahead)}`,
      `The clock of ${one.host} should be set; until then, what it signs or limits by time may be refused.`,
    );
  }
  const says = `this machine is ${difference(one.ahead)} by ${off.map(({ host }) => host).join(" and ")}`;
  return Math.abs(one.ahead) > HARMFUL ? bad("clock", says, ADVICE) : doubtful("clock", says, ADVICE);
}

function difference(ahead: number): string {
  return `${span(ahead)} ${ahead > 0 ? "fast" : "slow"}`;
}
