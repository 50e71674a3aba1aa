// Header fields as an upstream that means harm, or is merely broken, might send them.

import fc from "fast-check";

const PIECES = [
  "<",
  ">",
  '"',
  "\\",
  ",",
  ";",
  "=",
  " ",
  "\t",
  "a",
  "a=",
  'a="',
  "a ",
  "Basic",
  "<a>;rel=",
  "\u0000",
  "é",
];

/** Strings made of the very characters that parsers turn on, and any others. */
export const hostileText = fc.oneof(
  fc.string({ unit: fc.constantFrom(...PIECES) }),
  fc.string({ unit: "binary" }),
);

/** Long repetitions: what is quadratic takes minutes on all of them, longer than a test may, what is linear a second. */
export const longTexts: string[] = PIECES.flatMap((first) =>
  PIECES.flatMap((second) => [
    (first + second).repeat(10_000),
    first.repeat(10_000) + second.repeat(10_000),
    `a ${first.repeat(10_000)}${second}`,
  ]),
);
