/** The faults that a mirror must survive: their numbers and names, by heading. No test here, so that every runtime can read it. */

export const FAULTS = {
  body: {
    1: "cut with Content-Length",
    2: "cut while chunked",
    3: "wrong digest, right length",
    4: "length too small",
    5: "length too large",
    6: "no length",
    7: "reset in mid-stream",
    8: "stall",
    9: "slow trickle",
    10: "an HTML page with 200",
    11: "Content-Encoding gzip added on the way",
    12: "a layer that is gzip itself: bytes untouched",
    13: "empty blob",
    14: "zero bytes with 200",
    15: "larger than one put",
    16: "206 to a plain GET",
    17: "Range ignored on resume",
    18: "ETag changed on resume",
    19: "cut at a multiple of 8 MiB with full length declared",
  },
  status: {
    20: "500",
    21: "503, then success",
    22: "429 + Retry-After, held",
    23: "429 + Retry-After, not held: never a 404",
    24: "abuse 429 without Retry-After",
    25: "404 for a held tag",
    26: "403 after a repository went private",
    27: "401 in a loop",
    28: "DNS, TLS, refused",
    29: "tag 200, digest gone",
    30: "HEAD 405",
  },
  redirect: {
    31: "loop",
    32: "too many hops",
    33: "https to http",
    34: "private, link-local, IPv6, decimal addresses",
    35: "to the mirror itself",
    36: "relative",
    37: "signed URL expired",
    38: "expired in mid-stream",
    39: "Authorization leak",
    40: "query dropped",
    41: "signed redirect remembered too long",
  },
  tokens: {
    42: "endpoint down",
    43: "hostile realm",
    44: "realm changes on expiry",
    45: "no service",
    46: "access_token only",
    47: "no or negative expires_in",
    48: "expires in mid-pull",
    49: "placeholder scope",
    50: "token used for another repository",
    51: "refresh by many at once",
    52: "a client's Authorization reaching upstream",
    53: "token endpoint 429",
  },
  isolation: {
    54: "private blob through a public repository",
    55: "private manifest by digest",
    56: "the same digest from two upstreams",
    57: "access revoked, content held",
    58: "HEAD as an oracle",
    59: "an error remembered across callers",
    60: "ns against host",
    61: "ns to an unlisted host",
  },
  input: {
    62: "dots and slashes, plain and encoded",
    63: "upper case",
    64: "Unicode, NUL",
    65: "256-character name",
    66: "129-character tag",
    67: "sha512",
    68: "short or unknown digest",
    69: "CRLF",
    70: "two Content-Lengths",
    71: "X-Forwarded-* poisoning",
    72: "repository named blobs or manifests",
    73: "huge query",
    74: "two scope parameters",
    75: "Basic Og==",
  },
  manifest: {
    76: "exactly 4 MiB and above",
    77: "bytes preserved to the letter",
    78: "digest header against body",
    79: "Content-Type against mediaType",
    80: "variants by Accept under one tag",
    81: "schema1",
    82: "foreign-layer URLs never fetched",
    83: "nested, sparse index",
    84: "artifact without layers",
    85: "malformed JSON",
    86: "tag moves in mid-pull",
    87: "referrers 404 fallback",
    88: "filter not applied upstream",
    89: "Link to this mirror",
  },
  store: {
    90: "100 cold GETs at once = 1 fill",
    91: "all waiters see the error",
    92: "the leader leaves",
    93: "put fails: still served",
    94: "KV stale or down",
    95: "tag record without content",
    96: "object gone between look-up and read",
    97: "eviction during a read",
    98: "shared blob survives eviction",
    99: "cold HEAD moves no bytes",
    100: "cold Range: 206; suffix, several, 416, If-Range",
    101: "partial never marked whole",
    102: "a limit hit in mid-fill",
    103: "keys of an older version",
    104: "staleness bounded and said",
    105: "the lease holder dies",
    106: "clock skew",
  },
} as const;

export type Heading = keyof typeof FAULTS;
export type FaultOf<H extends Heading> = keyof (typeof FAULTS)[H] & number;

/** Told byte by byte over real sockets to a mirror as `npm start` runs it: test/sockets/faults.test.ts. */
export const OVER_SOCKETS: readonly number[] = [
  1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 19, 28, 62, 64, 69, 70, 73, 92,
];

/** What has no test, and why. */
export const UNTESTED: Readonly<Record<number, string>> = {};

/** What has a test that can't claim all of it, and what is left. */
export const PARTLY: Readonly<Record<number, string>> = {
  4: "a body whose length upstream understates comes to its client cut to that length; only the digest tells, to the client as to the store",
  8: "nothing ends a range or a body without a length that stalls",
  28: "one way each of failing to connect, resolve and speak TLS; which certificates are trusted is the runtime's matter",
  57: "what was public when it was taken in is served by digest for good, and the operator's login stands in for a day after a repository was last found public, though not for a look at whether a tag has moved, which finds out; restricted content is held for minutes after upstream has last let its caller in",
  98: "eviction goes by age and knows no images, so a shared blob may go with the image it came with; whoever needs it has it fetched again",
  102: "what the platform itself limits (processor time, subrequests, memory) can't be brought about in a test",
};

/** Every number of a heading, or of the whole list, or of a part. */
export function numbersOf(heading?: Heading, from = 1, to = Number.POSITIVE_INFINITY): number[] {
  const headings = heading ? [FAULTS[heading]] : Object.values(FAULTS);
  const numbers = headings.flatMap((faults) => Object.keys(faults).map(Number));
  return numbers.filter((number) => number >= from && number <= to);
}

/** A test's name: `22 429 + Retry-After, held: by HEAD`. */
export function nameOf(number: number, variant?: string): string {
  const names: Record<number, string> = Object.assign({}, ...Object.values(FAULTS));
  return `${number} ${names[number]}${variant === undefined ? "" : `: ${variant}`}`;
}
