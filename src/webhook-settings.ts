/** The form of WEBHOOKS and WEBHOOK_SECRET. No message holds what it is about: a webhook's URL often is a secret itself. */
import * as v from "valibot";
import { list } from "./config-values.ts";
import { isInternal } from "./registry/addresses.ts";

/** Webhooks at most: each gets a request of its own. */
const MOST = 10;
const URLS = "must be a list of https URLs of public hosts";
const webhook = v.pipe(
  v.string(URLS),
  v.check((text) => URL.canParse(text), URLS),
  v.transform((text) => new URL(text)),
  v.check((url) => url.protocol === "https:" && !isInternal(url), URLS),
  v.check(
    ({ username, password }) => username === "" && password === "",
    "must not carry a user name or password",
  ),
);

export const webhooks = v.pipe(list(URLS), v.maxLength(MOST, `must be ${MOST} at most`), v.array(webhook));

const SECRET = "must be whsec_ and the base64 of 24 to 64 random bytes: openssl rand -base64 32";
/** As Standard Webhooks writes it. @returns the bytes of the key. */
export const webhookSecret = v.pipe(
  v.string(SECRET),
  v.regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, SECRET),
  v.transform((text) => decoded(text.slice("whsec_".length))),
  v.custom<Uint8Array<ArrayBuffer>>(
    (bytes) => bytes instanceof Uint8Array && bytes.byteLength >= 24 && bytes.byteLength <= 64,
    SECRET,
  ),
);

function decoded(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
