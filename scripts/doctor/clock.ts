/** Whether this machine's clock is right, by what servers say the time is (RFC 9110 §6.6.1, Date). Pure. */
import { span } from "../terminal/format.ts";
import { bad, type Check, good, skipped, warning } from "./check.ts";

export interface Reading {
  host: string;
  /** Whether it is this machine, whose clock proves nothing when it agrees with itself. In a virtual machine behind the same address it may not. */
  isHere: boolean;
  /** The response's Date; null if it has none. */
  date: string | null;
  /** Milliseconds since 1970 by this machine's clock when the response came. */
  at: number;
}

/** Seconds: Date has no fractions, and a response may have been on its way for some. */
const TOLERANCE = 30;
/** Seconds beyond which tokens, which often hold for five minutes, are refused or taken for fresh too long. */
const HARMFUL = 240;

const ADVICE =
  "Set it by the network (`timedatectl set-ntp true`): certificates, tokens and signed URLs are refused at the wrong time.";

export function judgeClock(readings: readonly Reading[]): Check {
  const measured = readings.flatMap(({ host, isHere, date, at }) => {
    const theirs = Date.parse(date ?? "");
    return Number.isNaN(theirs) ? [] : [{ host, isHere, ahead: (at - theirs) / 1000 }];
  });
  const off = measured.filter(({ ahead }) => Math.abs(ahead) > TOLERANCE);
  const right = measured.filter(({ ahead, isHere }) => Math.abs(ahead) <= TOLERANCE && !isHere);
  const [first] = off;
  if (first === undefined) {
    if (right.length === 0) return skipped("clock", "no machine but this one gave the time");
    return good("clock", `agrees with ${names(right)}`);
  }
  const apart = span(first.ahead);
  if (right.length > 0) {
    return warning(
      "clock",
      `${first.host} is ${apart} ${first.ahead > 0 ? "slow" : "fast"}; this machine agrees with ${names(right)}`,
      `The clock of ${first.host} should be set; what it signs or limits by time may be refused until then.`,
    );
  }
  const isSure = off.length > 1;
  const says = isSure
    ? `this machine is ${apart} ${first.ahead > 0 ? "fast" : "slow"}, by ${names(off)}`
    : `this machine and ${first.host} are ${apart} apart`;
  const advice = isSure ? ADVICE : `See which of the two is wrong with \`date -u\`. ${ADVICE}`;
  return Math.abs(first.ahead) > HARMFUL ? bad("clock", says, advice) : warning("clock", says, advice);
}

function names(measured: readonly { host: string }[]): string {
  return measured.map(({ host }) => host).join(" and ");
}
