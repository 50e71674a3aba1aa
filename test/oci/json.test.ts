import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { lenient, parseJson } from "../../src/oci/json.ts";

const Schema = v.object({ name: v.string(), size: lenient(v.number()) });

describe("JSON from outside", () => {
  test.each([
    ['{"name":"a","size":1}', { name: "a", size: 1 }],
    ['{"name":"a","size":"1","more":true}', { name: "a", size: null }],
    ['{"name":"a"}', { name: "a", size: null }],
    ['{"name":"a","size":null}', { name: "a", size: null }],
    ['{"name":1}', null],
    ["[]", null],
    ["null", null],
    ["{", null],
    ["", null],
  ])("%s is read as %j", (text, value) => {
    expect(parseJson(Schema, text)).toEqual(value);
    expect(parseJson(Schema, new TextEncoder().encode(text))).toEqual(value);
  });
});
