/** The OpenAPI document of `/_/`, from the schemas by which requests are checked and responses are read. */
import {
  type ConversionConfig,
  type JsonSchema,
  toJsonSchema,
  toJsonSchemaDefs,
} from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import { OPERATIONS, type Operation } from "./operations.ts";
import * as responses from "./responses.ts";

/** Where it is kept, from which the Worker serves it. */
export const DOCUMENT = "src/ledger/openapi.json";

/** @returns the file's text. */
export function documentText(): string {
  const document = {
    openapi: "3.1.1",
    info: {
      title: "Portolan",
      version: "1",
      description:
        "What a mirror does for its owner, and for programs of theirs. Images are pulled by the OCI distribution API.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ admin: [] }],
    paths: pathsOf(OPERATIONS),
    components: {
      securitySchemes: {
        admin: { type: "http", scheme: "bearer", description: "ADMIN_KEY" },
        key: { type: "http", scheme: "basic", description: "An access key as the password" },
      },
      responses: {
        Error: { description: "An error, as registries have it", content: json(schemaOf(responses.Refusal)) },
      },
      schemas: toJsonSchemaDefs(DEFINITIONS, OPTIONS),
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Responses by name, in the same order however this file is loaded. */
const DEFINITIONS = Object.fromEntries(
  Object.entries(responses)
    .filter(([name]) => name !== "Refusal")
    .sort(([one], [other]) => (one < other ? -1 : 1)),
);

const OPTIONS: ConversionConfig = {
  target: "draft-2020-12",
  // As it is sent, which isn't always what it is read as.
  typeMode: "input",
  // What only code can check.
  ignoreActions: ["check"],
  // A pattern is read as with the flag u.
  overrideAction: ({ valibotAction, jsonSchema }) =>
    "requirement" in valibotAction && valibotAction.requirement instanceof RegExp
      ? { ...jsonSchema, pattern: valibotAction.requirement.source }
      : undefined,
  overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId}`,
};

function schemaOf(schema: GenericSchema): JsonSchema {
  const { $schema, $defs, ...written } = toJsonSchema(schema, { ...OPTIONS, definitions: DEFINITIONS });
  return written;
}

function pathsOf(operations: Readonly<Record<string, Operation>>): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [request, operation] of Object.entries(operations)) {
    const [method = "", path = ""] = request.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: operationOf(method, path, operation) };
  }
  return paths;
}

function operationOf(method: string, path: string, operation: Operation): object {
  const { summary, key, query, body, status = 200, response, errors = {} } = operation;
  const parameters = [...pathParameters(path), ...(query ? queryParameters(query) : [])];
  const refusals = Object.entries(errors).map(([code, description]) => {
    return [code, { ...ERROR, description }] as const;
  });
  return {
    operationId: idOf(method, path),
    summary,
    ...(key === "none" && { security: [] }),
    ...(key === "access key" && { security: [{ key: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: json(schemaOf(body)) } }),
    responses: {
      [status]: { description: "Success", ...(response && { content: contentOf(response) }) },
      ...Object.fromEntries(refusals),
      default: ERROR,
    },
  };
}

/** `GET /_/tags/{image}` is `getTagsByImage`, for the functions of generated clients. */
function idOf(method: string, path: string): string {
  const words = path.replace(/\{(\w+)\}/g, "by-$1").split(/\W+/);
  const capitalized = words.flatMap((word) =>
    word === "_" ? [] : [word.slice(0, 1).toUpperCase() + word.slice(1)],
  );
  return method.toLowerCase() + capitalized.join("");
}

const ERROR = { $ref: "#/components/responses/Error" };

function contentOf(response: GenericSchema | readonly string[]): object {
  if (!("kind" in response)) return Object.fromEntries(response.map((type) => [type, {}]));
  return json(schemaOf(response));
}

function json(schema: JsonSchema): object {
  return { "application/json": { schema } };
}

function pathParameters(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: "path", required: true, schema: { type: "string" } };
  });
}

function queryParameters(query: NonNullable<Operation["query"]>): object[] {
  const { properties = {} } = schemaOf(query);
  return Object.entries(properties).map(([name, schema]) => ({ name, in: "query", schema }));
}
