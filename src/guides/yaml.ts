/**
 * Writes YAML for guides: block style, strings plain where no reader of YAML 1.1 or 1.2 takes them for anything else. The `yaml` package,
 * which reads it in tests and on the command line, would be a twelfth of the Worker.
 */

type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/** A time, or what begins like no number, alias, tag or comment and has no `: ` or ` #` within. */
const PLAIN = /^\d+[smhd]$|^(?:--)?[A-Za-z/$][\w./@+=(){}$~*-]*(?:[: ][\w./@+=(){}$~*-]+)*$/;
const OTHER_TYPE = /^(?:true|false|yes|no|on|off|y|n|null)$/i;

/** @param document JSON's types only; entries that are undefined are left out. */
export function yamlText(document: object): string {
  return `${linesOf(document as Value).join("\n")}\n`;
}

function linesOf(value: Value): string[] {
  if (typeof value === "string") return stringLines(value);
  if (value === null || typeof value !== "object") return [String(value)];
  if (Array.isArray(value)) {
    const items = value.flatMap((item) => {
      const [first = "", ...rest] = linesOf(item);
      return [`- ${first}`, ...indented(rest)];
    });
    return items.length > 0 ? items : ["[]"];
  }
  const entries = Object.entries(value).flatMap(([key, each]) => {
    if (each === undefined) return [];
    const lines = linesOf(each);
    const isBlock = typeof each === "object" && each !== null && Object.keys(each).length > 0;
    const [first = "", ...rest] = isBlock ? ["", ...lines] : lines;
    return [`${stringText(key)}:${first && ` ${first}`}`, ...indented(rest)];
  });
  return entries.length > 0 ? entries : ["{}"];
}

/** Lines that all readers keep as they are stand as a block. */
function stringLines(text: string): string[] {
  const isBlock = /^[!-~][\t -~]*(?:\n+[\t -~]+)*\n+$|^[!-~][\t -~]*(?:\n+[\t -~]+)+$/.test(text);
  if (!isBlock || !text.includes("\n") || text.endsWith("\n\n")) return [stringText(text)];
  return text.endsWith("\n") ? ["|", ...text.slice(0, -1).split("\n")] : ["|-", ...text.split("\n")];
}

function stringText(text: string): string {
  return PLAIN.test(text) && !OTHER_TYPE.test(text) ? text : JSON.stringify(text);
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => line && `  ${line}`);
}
