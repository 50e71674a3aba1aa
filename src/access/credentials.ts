/** What clients put into Authorization (RFC 7617, RFC 6750). */

export type Shown =
  | { scheme: "basic"; username: string; password: string }
  | { scheme: "bearer"; token: string };

/**
 * Reads an Authorization value. Null for none, for a scheme that isn't known, and for an empty user name and password
 * (`Basic Og==`), which podman sends when it has none: an anonymous caller and no login.
 */
export function readAuthorization(header: string | null): Shown | null {
  const [, scheme = "", value = ""] = /^([a-z]+) +([!-~]+) *$/i.exec(header ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return { scheme: "bearer", token: value };
  if (scheme.toLowerCase() !== "basic") return null;
  const text = decode(value);
  const colon = text?.indexOf(":") ?? -1;
  if (!text || colon === -1 || text === ":") return null;
  return { scheme: "basic", username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decode(base64: string): string | null {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return null;
  }
}
