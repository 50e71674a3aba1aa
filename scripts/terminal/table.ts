/** Tables without lines: aligned columns, two spaces apart. */
import Table from "cli-table3";

export interface TableOptions {
  head?: readonly string[];
  /** Columns, from 0, that are aligned to the right: numbers. */
  right?: readonly number[];
  /** Spaces before every line. */
  indent?: number;
}

const NO_LINES = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ left: "", "left-mid": "", mid: "", "mid-mid": "" },
  ...{ right: "", "right-mid": "", middle: "  " },
};

/** The lines of a table; cells may be coloured. No line ends in spaces, so that it can be copied and compared. */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { head = [], right = [], indent = 0 } = options;
  const columns = Math.max(head.length, ...rows.map((row) => row.length));
  const drawn = new Table({
    chars: NO_LINES,
    colAligns: Array.from({ length: columns }, (_, column) => (right.includes(column) ? "right" : "left")),
    head: [...head],
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
  });
  // A row that is shorter than others would pull the columns of those below it to the left.
  for (const row of rows) drawn.push(Array.from({ length: columns }, (_, column) => row[column] ?? ""));
  return drawn
    .toString()
    .split("\n")
    .map((line) => `${" ".repeat(indent)}${line}`.trimEnd())
    .join("\n");
}
