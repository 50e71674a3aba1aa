/** Writes a value as Cap'n Proto text, the language of workerd's configuration. */

export type Value = string | boolean | Embedded | readonly Value[] | { readonly [field: string]: Value };

/** The content of a file, named from the folder of the file that embeds it. */
export class Embedded {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }
}

/** @returns the text of a value: a string in quotation marks, a list in brackets, a structure in parentheses. */
export function capnpText(value: Value): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "boolean") return String(value);
  if (value instanceof Embedded) return `embed ${quoted(value.file)}`;
  if (isList(value)) return `[${value.map(capnpText).join(", ")}]`;
  const fields = Object.entries(value).map(([name, field]) => `${name} = ${capnpText(field)}`);
  return `(${fields.join(", ")})`;
}

/** Its escapes are those of C: two hexadecimal digits, and none for code points. */
function quoted(text: string): string {
  const escaped = text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped
    /["\\\u0000-\u001f\u007f]/g,
    (character) =>
      character === '"' || character === "\\"
        ? `\\${character}`
        : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `"${escaped}"`;
}

/** `Array.isArray` doesn't narrow a readonly list. */
function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
