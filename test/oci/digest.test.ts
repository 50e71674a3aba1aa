import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Digest, digestOf, digestParts, parseDigest, referrersTag } from "../../src/oci/digest.ts";
import { isTag } from "../../src/oci/names.ts";

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const digest = fc.oneof(
  hex(64).map((digits): Digest => `sha256:${digits}`),
  hex(128).map((digits): Digest => `sha512:${digits}`),
);
const a64 = "a".repeat(64);

describe("digests", () => {
  test.each([
    ["nothing", ""],
    ["no algorithm", a64],
    ["a digit too few", `sha256:${a64.slice(1)}`],
    ["a digit too many", `sha256:${a64}a`],
    ["upper-case digits", `sha256:${a64.toUpperCase()}`],
    ["an upper-case algorithm", `SHA256:${a64}`],
    ["a digit that is none", `sha256:${a64.slice(1)}g`],
    ["another algorithm's length", `sha512:${a64}`],
    ["an algorithm we can't verify", `blake3:${a64}`],
    ["a path", `sha256:../${a64.slice(3)}`],
    ["a final line break", `sha256:${a64}\n`],
  ])("with %s are rejected", (_, text) => expect(parseDigest(text)).toBeNull());

  test("of either algorithm are read unchanged and come apart at the colon", () => {
    fc.assert(
      fc.property(digest, (text) => {
        expect(parseDigest(text)).toBe(text);
        const parts = digestParts(text);
        expect(`${parts.algorithm}:${parts.hex}`).toBe(text);
      }),
    );
  });

  test.each([
    ["sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""],
    ["sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc"],
    [
      "sha512",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      "abc",
    ],
  ] as const)("of %s are those of FIPS 180-4: %s", async (algorithm, digits, text) => {
    expect(await digestOf(new TextEncoder().encode(text), algorithm)).toBe(`${algorithm}:${digits}`);
  });

  test("of any bytes can be read back, and are sha256 unless another is requested", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), async (bytes) => {
        const computed = await digestOf(bytes);
        expect(parseDigest(computed)).toBe(computed);
        expect(computed).toBe(await digestOf(bytes, "sha256"));
      }),
    );
  });
});

describe("the referrers tag", () => {
  test("carries the whole of a sha256 digest and half of a sha512 one", () => {
    expect(referrersTag(`sha256:${a64}`)).toBe(`sha256-${a64}`);
    expect(referrersTag(`sha512:${a64}${"b".repeat(64)}`)).toBe(`sha512-${a64}`);
  });

  test("is a tag", () => {
    fc.assert(fc.property(digest, (text) => isTag(referrersTag(text))));
  });
});
