import { RegistryError } from "../../oci/errors.ts";

/** A part of the page that may fail by itself. */
export type Part<Value> = { value: Value } | { failure: string };

/** @throws what is no error of a registry's. */
export async function part<Value>(reading: Promise<Value>): Promise<Part<Value>> {
  try {
    return { value: await reading };
  } catch (error) {
    if (error instanceof RegistryError) return { failure: error.message };
    throw error;
  }
}
