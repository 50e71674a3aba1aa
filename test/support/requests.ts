/** Random requests, and what must be true of any response: what the tests of whole requests at random share. */
import fc from "fast-check";
import { expect } from "vitest";
import { isDigest } from "./fake-registry/objects.ts";
import type { MirrorResponse } from "./mirror.ts";

export const HEX = "a1".repeat(32);
/** Each is the fake ghcr.io, so that all can be reached. */
const OTHERS = "quay.io gcr.io registry.k8s.io mcr.microsoft.com nvcr.io public.ecr.aws".split(" ");
export const UPSTREAMS = Object.fromEntries(OTHERS.map((name) => [name, { endpoints: ["https://ghcr.io"] }]));
/** Upstreams of a family: nothing stands for them here. */
export const UNREACHED = /[a-z0-9-]+\.(gcr\.io|pkg\.dev)/;
const CODES = [
  ..."BLOB_UNKNOWN DIGEST_INVALID MANIFEST_INVALID MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN".split(" "),
  ..."UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS UNAVAILABLE".split(" "),
];
/** What of a client's may go upstream, and what the mirror says for itself. */
export const SENT_UPSTREAM = ["accept", "accept-encoding", "authorization", "range", "user-agent", "via"];
export const FOR_TOKENS = ["service", "scope"];
export const FOR_LISTINGS = ["n", "last", "page", "token", "artifactType", "signature", "expires"];
/** What betrays an error's inside. */
const INSIDE = ["undefined", "[object", "Error:", "    at ", ".ts:", "NaN", "null is"];
/** What no header may repeat as it came. */
const HOSTILE = ["<script>", '"><', "\r", "\n", "evil.test", "169.254.169.254"];

export const method = fc.oneof(
  { weight: 6, arbitrary: fc.constant("GET") },
  { weight: 3, arbitrary: fc.constant("HEAD") },
  { weight: 1, arbitrary: fc.constantFrom(..."POST PUT PATCH DELETE OPTIONS PROPFIND get".split(" ")) },
);

/** One of some words, which are separated by spaces. */
export const word = (words: string) => fc.constantFrom(...words.split(" "));
export const mostly = (usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 5, arbitrary: usual }, { weight: 2, arbitrary: odd });

export const odd = fc.oneof(
  word(
    ". .. ... %2e%2e %2F %5C %00 %0d%0aX-A:%20b % %zz // \\ @ : A - _ __proto__ constructor v2 ghcr.io. *.gcr.io",
  ),
  word('<script> "><  {{7*7}} localhost:5000 evil.test undefined [object ä \u202e 😀 \u0000 \r\nX-A:b'),
  fc.constantFrom("a".repeat(300), "x/".repeat(200), "a b", "a\tb", "0".repeat(20_000)),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const digest = word(`sha256:${HEX} sha256%3A${HEX} sha512:${HEX}${HEX} sha256:${HEX}0 md5:1 HELD LAYER`);
const name = mostly(word("alpine library/alpine some/application owner/image blobs manifests/tags"), odd);
const prefix = mostly(
  word("/v2/ /v2/docker.io/ /v2/ghcr.io/ /v2/ghcr-io/ /ghcr.io/v2/ /v2/quay.io/"),
  fc.oneof(
    word("/ //v2/ /v2// /V2/ /v1/ /_/ /v2/evil.test/ /evil.test/v2/ /v2/x.gcr.io/"),
    odd.map((text) => `/${text}/`),
  ),
);
const kind = mostly(word("manifests manifests blobs blobs referrers tags"), odd);
const reference = mostly(fc.oneof(word("latest 1.0 absent"), digest), odd);
export const path = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(prefix, name, kind, reference).map(([a, b, c, d]) => `${a}${b}/${c}/${d}`),
  },
  { weight: 2, arbitrary: fc.tuple(prefix, name).map(([a, b]) => `${a}${b}/tags/list`) },
  { weight: 1, arbitrary: fc.array(odd, { maxLength: 6 }).map((parts) => `/${parts.join("/")}`) },
  { weight: 1, arbitrary: word("/ /v2 /v2/ /_/health /favicon.ico /ghcr.io/v2/") },
  {
    weight: 2,
    arbitrary: word("/v2/alpine/blobs/LAYER /v2/alpine/manifests/HELD /v2/alpine/manifests/latest"),
  },
);
const parameter = fc.tuple(
  mostly(word("ns n last artifactType"), word("page token scope q ")),
  fc.oneof(
    word(
      "ghcr.io docker.io https://evil.test/ http://169.254.169.254/ u:p@ghcr.io [::1] evil.test:443 127.1",
    ),
    word("0 1 -1 1e9 99999999999 latest application/vnd.test"),
    odd,
  ),
);
export const query = fc.array(parameter, { maxLength: 3 }).map((given) => {
  const text = given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  return text && `?${text}`;
});
export const header = fc.oneof(
  fc.tuple(
    fc.constant("Range"),
    word(
      "bytes=0-9 bytes=5- bytes=-5 bytes=9-1 bytes=0-1,3-4 bytes bytes=90000- bytes=99999999999999999999-",
    ),
  ),
  fc.tuple(
    fc.oneof(
      word("If-Range If-None-Match Accept User-Agent Cookie Origin Via Connection Range"),
      word(
        "X-Forwarded-Host X-Forwarded-Proto X-Forwarded-For Forwarded X-Original-URL X-HTTP-Method-Override",
      ),
      word("MF-Original-URL MF-CF-Blob CF-Connecting-IP X-Real-IP Host Proxy-Authorization Sec-Fetch-Site"),
    ),
    fc.oneof(
      word(`* "sha256:${HEX}" "HELD" "LAYER" W/"x" evil.test PUT docker/28 skopeo/1 ">< bytes=0-9`),
      word(
        "https://evil.test/v2/owner/secret/manifests/latest cross-site none 127.0.0.1 host=evil.test https",
      ),
      fc.string({ unit: "grapheme-ascii", maxLength: 20 }),
    ),
  ),
);

/** What a browser sends for a page of another site: nothing may come of it but the mirror's own pages. */
export function isCrossSite(headers: Iterable<readonly [string, string]>): boolean {
  const site = new Headers([...headers].map(([name, value]): [string, string] => [name, value])).get(
    "Sec-Fetch-Site",
  );
  return site !== null && !["same-origin", "none"].includes(site);
}

/** What is true of any response: a failure is upstream's, or an error of the specification, and no internals are revealed. */
export function expectFair(response: MirrorResponse, method: string, target: string): void {
  const text = new TextDecoder().decode(response.bytes);
  if (response.status >= 500) {
    expect(response.status).toBe(503);
    expect(text || "x.gcr.io").toMatch(UNREACHED);
  }
  if (method === "HEAD") expect(text).toBe("");
  else if (response.status >= 400 && response.status !== 416) expectOciError(response, text, target);
  expectCleanHeaders(response);
}

export function expectOciError(response: MirrorResponse, text: string, target: string): void {
  expect(response.headers.get("Content-Type")).toBe("application/json");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const { errors } = response.json() as { errors: { code: string; message: string }[] };
  expect(errors).toHaveLength(1);
  expect(CODES).toContain(errors[0]?.code);
  expect(errors[0]?.message).toMatch(/^[\x20-\x7e…]+$/);
  const requested = safelyDecoded(target);
  expect(INSIDE.filter((word) => text.includes(word) && !requested.includes(word))).toEqual([]);
}

function expectCleanHeaders({ headers }: MirrorResponse): void {
  for (const [key, value] of headers) {
    expect(`${key}: ${value}`).toMatch(/^[\x20-\x7e]*$/);
    if (key !== "docker-content-digest") expect(HOSTILE.filter((text) => value.includes(text))).toEqual([]);
  }
  const digest = headers.get("Docker-Content-Digest");
  if (digest !== null) expect(isDigest(digest)).toBe(true);
}

/** Null for what no client could send. */
export function buildable(url: string, method: string, given: [string, string][]): RequestInit | null {
  try {
    const { headers } = new Request(url, { method, headers: Object.fromEntries(given) });
    return { method, headers };
  } catch {
    return null;
  }
}

function safelyDecoded(text: string): string {
  try {
    return text + decodeURIComponent(text);
  } catch {
    return text;
  }
}
