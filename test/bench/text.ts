/** Figures as text. */

export interface Verdict {
  name: string;
  figure: string;
  target: string;
  isReached: boolean;
}

export function verdict(name: string, figure: string, target: string, isReached: boolean): Verdict {
  return { name, figure, target, isReached };
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** Columns as wide as their widest cell; the first ones are aligned left, the others right. */
export function table(rows: readonly string[][], left = 1): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, at) => (at < left ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))),
    )
    .map((cells) => `  ${cells.join("  ")}`.trimEnd())
    .join("\n");
}
