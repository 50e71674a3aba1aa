/** JSON from outside: parsed and checked in one step, so that no unchecked shape gets further. */
import * as v from "valibot";

/** @returns null for what isn't JSON, or hasn't the schema's shape. */
export function parseJson<const Schema extends v.GenericSchema>(
  schema: Schema,
  json: Uint8Array | string,
): v.InferOutput<Schema> | null {
  let value: unknown;
  try {
    value = JSON.parse(typeof json === "string" ? json : new TextDecoder().decode(json));
  } catch {
    return null;
  }
  const parsed = v.safeParse(schema, value);
  return parsed.success ? parsed.output : null;
}

/** A member of an object whose value is null where it is absent or of another type, while the other members count. */
export function lenient<const Schema extends v.GenericSchema>(schema: Schema) {
  return v.optional(v.fallback(v.nullable(schema), null), null);
}
