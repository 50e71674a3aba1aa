/** What a mirror that listens on this machine says of its health. */
import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { text } from "node:stream/consumers";
import { type Scheme, urlOf } from "./address.ts";

export interface Health {
  /** With the scheme that it is served by. */
  url: string;
  /** As `/_/health` has it: `unavailable` if its configuration or its store can't be used. */
  status: "ok" | "unavailable";
}

/** Milliseconds. */
const PATIENCE = 2_000;
/** More than the response has. */
const LONGEST_BODY = 1_000;

/** @returns null if something else listens there, or nothing. */
export async function healthOf(host: string, port: number): Promise<Health | null> {
  for (const scheme of ["http", "https"] as const) {
    const url = urlOf(host, port, scheme);
    const status = await statusAt(url, scheme).catch(() => null);
    if (status === "ok" || status === "unavailable") return { url, status };
  }
  return null;
}

function statusAt(url: string, scheme: Scheme): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE);
    // A certificate is for the name that clients use, which need not lead here; and nothing secret is sent.
    const options = { signal, rejectUnauthorized: false };
    const request = (scheme === "https" ? getHttps : getHttp)(`${url}/_/health`, options, (response) => {
      if (Number(response.headers["content-length"]) > LONGEST_BODY) request.destroy(new Error("too long"));
      text(response)
        .then((body) => resolve(JSON.parse(body).status))
        .catch(reject);
    });
    request.once("error", reject);
  });
}
