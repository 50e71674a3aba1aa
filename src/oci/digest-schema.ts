/** A digest in JSON. */
import * as v from "valibot";
import { DIGEST, type Digest } from "./digest.ts";

export const DigestSchema = v.pipe(
  v.string(),
  v.regex(DIGEST),
  v.transform((text) => text as Digest),
);
