import type { Reference } from "./reference.ts";

/** A part of the text that names an image. */
export interface Found {
  /** Where it starts and ends in the text, in UTF-16 code units. */
  start: number;
  end: number;
  reference: Reference;
  /** What is to be written in its place, of the image's name on the mirror; the name itself where this is absent. */
  write?: (mirrored: string) => string;
  /** Further parts that change with it: the `registry` of Helm values. */
  beside?: readonly { start: number; end: number; write: (mirrored: string) => string }[];
}
