import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elementsOf, findMembers, parseSpan } from "../../src/oci/json-spans.ts";

const encode = (text: string) => new TextEncoder().encode(text);

describe("members", () => {
  test("are what JSON.parse finds, whatever the document", () => {
    const keys = ["a", "mediaType", 'quo"te', "back\\slash", "ä"];
    const object = fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), fc.jsonValue());
    const spaces = fc.constantFrom(undefined, 1, "\t");
    fc.assert(
      fc.property(object, spaces, (value, space) => {
        const bytes = encode(JSON.stringify(value, null, space));
        const expected = JSON.parse(new TextDecoder().decode(bytes));
        const members = findMembers(bytes, keys);
        expect(members).not.toBeNull();
        for (const key of keys) expect(parseSpan(bytes, members?.get(key))).toEqual(expected[key]);
      }),
    );
  });

  test("are found by escaped keys and behind a byte order mark, and the last of several counts", () => {
    const bytes = encode('\ufeff {"\\u0061":1, "a" : {"a":3} ,"b":[],"a":2 }\n');
    expect(parseSpan(bytes, findMembers(bytes, ["a"])?.get("a"))).toBe(2);
  });

  test.each([
    "",
    " ",
    "[]",
    "1",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{"a":1}x',
    '{"a" 1}',
    "{a:1}",
    '{"a":"',
    '{"a":[}',
  ])("are none in what is no object: %s", (text) => expect(findMembers(encode(text), ["a"])).toBeNull());

  test("never take what a string holds for structure", () => {
    const bytes = encode(String.raw`{"x":"\\\"},{\"a\":1","a":[{"b":"]}"}]}`);
    expect(parseSpan(bytes, findMembers(bytes, ["a"])?.get("a"))).toEqual([{ b: "]}" }]);
  });

  test("never throw", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void findMembers(bytes, ["a"])));
  });
});

describe("elements", () => {
  test("are an array's, one by one", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        const bytes = encode(JSON.stringify({ list: values }, null, 1));
        const found = [...elementsOf(bytes, findMembers(bytes, ["list"])?.get("list"))];
        expect(found.map((span) => parseSpan(bytes, span))).toEqual(JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  test("are none of what is no array", () => {
    const bytes = encode('{"list":{"a":1}}');
    expect([...elementsOf(bytes, findMembers(bytes, ["list"])?.get("list"))]).toEqual([]);
  });
});
