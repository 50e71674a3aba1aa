// Challenges: how an upstream says where to get a token, and how this mirror says it to its callers.

import { emptyParameters, quote, type Read, readParameter, readQuoted } from "./fields.ts";

export interface Challenge {
  /** Lower-case. */
  scheme: string;
  /** Keys are lower-case; of a repeated one the first counts. */
  parameters: Record<string, string>;
  token68: string | null;
}

const TOKEN68 = /[ \t]+([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|$)/y;

/**
 * Reads a WWW-Authenticate field: any number of challenges, from one line or from several joined by commas.
 * Never throws: what isn't a challenge is passed over. A scheme counts only at the start or after a comma, so that a
 * stray word amid parameters doesn't take over those that follow.
 * Source: RFC 9110 §11.2, §11.3, §11.6.1.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let current: Challenge | null = null;
  let atElementStart = true;
  let at = 0;
  while (at < header.length) {
    const parameter = readParameter(header, at);
    if (parameter === null) {
      const character = header[at];
      if (character === ",") atElementStart = true;
      at = character === '"' ? readQuoted(header, at).end : at + 1;
      continue;
    }
    const { name, value } = parameter;
    at = parameter.end;
    if (value !== null) {
      if (current !== null && current.token68 === null) current.parameters[name] ??= value;
    } else if (atElementStart) {
      const token68 = readToken68(header, at);
      at = token68.end;
      current = { scheme: name, parameters: emptyParameters(), token68: token68.value };
      challenges.push(current);
    }
    atElementStart = false;
  }
  return challenges;
}

/**
 * Writes a challenge. Every value is quoted, as some clients read nothing else; `scheme` and the keys must be tokens.
 * Source: RFC 9110 §11.6.1.
 */
export function formatChallenge(scheme: string, parameters: Record<string, string>): string {
  const written = Object.entries(parameters).map(([name, value]) => `${name}=${quote(value)}`);
  return [scheme, written.join(",")].filter((part) => part !== "").join(" ");
}

/** Reads what a scheme may carry instead of parameters; it must fill its list element, or it is a parameter's name. */
function readToken68(text: string, at: number): Read<string | null> {
  TOKEN68.lastIndex = at;
  const value = TOKEN68.exec(text)?.[1] ?? null;
  return { value, end: value === null ? at : TOKEN68.lastIndex };
}
