/** What stands at the mirror's address where `/v2/` isn't answered as by a registry, and what to do about it. Pure. */
import * as v from "valibot";
import { bad, type Check } from "./check.ts";

export interface PingResponse {
  status: number;
  headers: Headers;
  body: string;
}

/** Statuses of a proxy whose origin doesn't respond; those from 520 on are Cloudflare's. */
const GATEWAY = [502, 504, 520, 521, 522, 523, 524, 530];

const Errors = v.object({ errors: v.looseTuple([v.object({ message: v.string() })]) });

/** Null for a registry. @param elsewhere what to advise where something else answers. */
export async function judgePing(
  { status, headers, body }: PingResponse,
  origin: string,
  elsewhere: () => Promise<string>,
): Promise<Check | null> {
  const isPage = /html/.test(headers.get("content-type") ?? "");
  const isRegistry = status === 200 || (status === 401 && headers.has("www-authenticate"));
  if (isRegistry && !isPage) return null;
  const message = errorIn(body);
  if (message?.includes("configuration")) {
    return bad("response", message, "The mirror's own message says what is wrong; correct it and restart.");
  }
  const [says, advice] = refusal(status, headers) ?? [
    `/v2/ answers with ${isPage ? "a page in HTML" : status}: no registry, but something else, is at ${origin}`,
    await elsewhere(),
  ];
  return bad("response", message === null ? says : `${says} (${message})`, advice);
}

function refusal(status: number, headers: Headers): [says: string, advice: string] | null {
  const server = headers.get("server");
  const by = server === null ? "" : `, says ${server}`;
  if (GATEWAY.includes(status)) {
    return [
      `/v2/ answers ${status}: a proxy is there, and the mirror behind it doesn't respond${by}`,
      "Start the mirror, and see that the proxy passes requests to the address and port on which it listens (nginx: proxy_pass, and its error log).",
    ];
  }
  if (status === 525 || status === 526) {
    return [
      `/v2/ answers ${status}: Cloudflare doesn't accept the certificate of the machine behind it`,
      "Give that machine a certificate for this name, or a certificate of Cloudflare's origin CA.",
    ];
  }
  if (status === 503) {
    const wait = headers.get("retry-after");
    return [
      `/v2/ answers 503: the mirror, or a proxy before it, can't serve now${by}${wait === null ? "" : `; it asks to wait ${wait} s`}`,
      "See the mirror's own log. If it has no line for this request, a proxy or load balancer before it has no mirror to pass it to.",
    ];
  }
  if (status === 403) {
    const isChallenge = headers.get("cf-mitigated") === "challenge";
    return [
      isChallenge
        ? "/v2/ answers 403: Cloudflare wants proof that a person asks, which no client can give"
        : `/v2/ answers 403: the mirror, or a firewall before it, refuses this machine${by}`,
      isChallenge
        ? "Add a rule (Security, WAF) that skips challenges and bot protection for the mirror's host name."
        : "Let this machine's address through in the firewall or the access rules before the mirror; a mirror that wants a key answers 401.",
    ];
  }
  if (status === 429) {
    return [
      "/v2/ answers 429: too many requests from this machine",
      "Wait, and look which limit it is: the mirror's or that of a proxy before it.",
    ];
  }
  if (status >= 500) {
    return [
      `/v2/ answers ${status}: the mirror, or a proxy before it, fails${by}`,
      "See the mirror's own log.",
    ];
  }
  return null;
}

/** The first message of a body with the distribution spec's errors. */
function errorIn(body: string): string | null {
  try {
    return v.parse(Errors, JSON.parse(body)).errors[0].message;
  } catch {
    return null;
  }
}
