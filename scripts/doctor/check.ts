/** What the doctor says of one thing that it looked at. */

export interface Check {
  name: string;
  /** `warning` keeps nothing from working, or not here; `skipped` couldn't be looked at. */
  state: "good" | "warning" | "bad" | "skipped";
  says: string;
  /** What to do, in plain words; null where nothing is to be done. */
  advice: string | null;
}

export function good(name: string, says: string): Check {
  return { name, state: "good", says, advice: null };
}

export function warning(name: string, says: string, advice: string): Check {
  return { name, state: "warning", says, advice };
}

export function bad(name: string, says: string, advice: string): Check {
  return { name, state: "bad", says, advice };
}

export function skipped(name: string, says: string): Check {
  return { name, state: "skipped", says, advice: null };
}
