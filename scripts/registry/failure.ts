/** What a registry's refusal, or its silence, means to the person who requested. */
import * as v from "valibot";
import { TooLarge } from "../../src/registry/bounded-read.ts";
import { type FailureKind, UpstreamError } from "../../src/registry/failure.ts";
import { Untrusted } from "../../src/registry/redirects.ts";
import type { RegistryResponse } from "./response.ts";

export class RegistryFailure extends Error {
  override readonly name = "RegistryFailure";
  /** The response's; 0 where there was none, or none that could be used. */
  readonly status: number;
  /** One of the distribution spec's, or what the registry says in its place; null where it says nothing. */
  readonly code: string | null;
  /** Seconds that it asks to wait, or null. */
  readonly retryAfter: number | null;

  constructor(status: number, code: string | null, message: string, retryAfter: number | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same may succeed a moment later. */
  get isTransient(): boolean {
    if (this.status === 0) return this.code === "UNAVAILABLE";
    return [408, 429, 500, 502, 503, 504].includes(this.status);
  }
}

/** Our own code for what isn't done because it would give something away. */
export const UNSAFE = "UNSAFE";

/** Bytes of a response that are looked into for what a registry has to say. */
const MAXIMUM_BODY = 16 * 1024;

/** OpenSSL's codes for certificates without a trusted signer. */
const UNKNOWN_SIGNERS = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];
const CA_ADVICE =
  "if it is your own, set NODE_EXTRA_CA_CERTS=/path/to/ca.pem, or NODE_USE_SYSTEM_CA=1 for those that this system trusts";

const TOO_LARGE_ADVICE =
  "; it, or a proxy before it, takes no body of this size: raise its limit (nginx: client_max_body_size 0)";

/** The distribution spec's errors, of which the first counts. */
const Errors = v.object({
  errors: v.looseTuple([v.object({ code: v.fallback(v.string(), ""), message: v.fallback(v.string(), "") })]),
});

const CODES: Readonly<Record<FailureKind, string>> = {
  missing: "NAME_UNKNOWN",
  denied: "DENIED",
  limited: "TOOMANYREQUESTS",
  unavailable: "UNAVAILABLE",
};

/**
 * The failure that a response is; reads its body.
 * @param what was requested, as `library/alpine manifests/latest`.
 * @param hint what to do about it if it is a refusal.
 */
export async function failureOfResponse(
  response: RegistryResponse,
  host: string,
  what: string,
  hint: string,
): Promise<RegistryFailure> {
  const { code, message } = await reasonIn(response);
  const { status } = response;
  const reported = [code, message].filter(Boolean).join(": ");
  const wait = /^\d{1,9}$/.exec(response.headers.get("Retry-After") ?? "")?.[0];
  const advice = [
    (status === 401 || status === 403) && `; ${hint}`,
    status === 413 && TOO_LARGE_ADVICE,
    wait !== undefined && `; it asks to wait ${wait} s`,
  ].filter((each) => each !== false);
  return new RegistryFailure(
    status,
    code,
    `${host} answered ${status} for ${what}${reported && ` (${reported})`}${advice.join("")}`,
    wait === undefined ? null : Number(wait),
  );
}

/** The failure behind what was thrown while a response was fetched; errors of this program's own are thrown on. */
export function failureOfError(error: unknown, host: string, hint: string): RegistryFailure {
  const refusal = refusalIn(error);
  if (refusal) return refusal;
  if (error instanceof UpstreamError) {
    const { kind, message, status, retryAfter } = error.failure;
    const advice = kind === "denied" ? `; ${hint}` : "";
    const code = error instanceof Untrusted ? UNSAFE : error instanceof TooLarge ? "TOO_LARGE" : CODES[kind];
    return new RegistryFailure(status, code, message + advice, retryAfter);
  }
  const cause = causeOf(error);
  const reason = codeOf(error);
  if (UNKNOWN_SIGNERS.includes(reason)) {
    const message = `${host} has a certificate of a CA that isn't known here (${cause}); ${CA_ADVICE}`;
    return new RegistryFailure(0, "CERTIFICATE_UNKNOWN", message);
  }
  // A name that doesn't exist won't a moment later, nor will a certificate be another.
  const code = /^(ENOTFOUND|CERT_|ERR_TLS_CERT)/.test(reason) ? reason : "UNAVAILABLE";
  return new RegistryFailure(0, code, `${host} can't be reached: ${cause}`);
}

/** What we refused to do ourselves, however deep a library has wrapped it. */
function refusalIn(error: unknown): RegistryFailure | null {
  if (error instanceof RegistryFailure) return error;
  return error instanceof Error && error.cause !== undefined ? refusalIn(error.cause) : null;
}

/** The code of the innermost error, as `ECONNREFUSED`; "" where it has none. */
export function codeOf(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  if (innermost instanceof AggregateError) return codeOf(innermost.errors[0]);
  if (!(innermost instanceof Error)) return "";
  if (innermost.name === "TimeoutError") return "ETIMEDOUT";
  return "code" in innermost ? String(innermost.code) : "";
}

/** The reason that a library has wrapped, perhaps more than once: "fetch failed" is no help. */
export function causeOf(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  // Of several addresses that were tried each has its own error, and the whole has none.
  if (innermost instanceof AggregateError && innermost.message === "") return causeOf(innermost.errors[0]);
  if (!(innermost instanceof Error)) return String(innermost);
  return innermost.message || ("code" in innermost ? String(innermost.code) : innermost.name);
}

/** What a response's body says went wrong, in as far as it says so as the distribution spec has it. */
export async function reasonIn({
  body,
}: Pick<RegistryResponse, "body">): Promise<{ code: string | null; message: string }> {
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > MAXIMUM_BODY) break;
    }
    const [{ code, message }] = v.parse(Errors, JSON.parse(text)).errors;
    return { code: /^[A-Z_]{1,40}$/.test(code) ? code : null, message: printable(message) };
  } catch {
    return { code: null, message: "" };
  }
}

/** What a registry sent, made fit for a terminal: short, and nothing in it that one would obey. */
function printable(text: string): string {
  const shown = text.replaceAll(/\p{C}+/gu, " ").trim();
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}
