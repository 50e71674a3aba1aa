/** What commands print: what they found, as JSON for programs or as a report for people, and why they failed. */
import { cleaned, cleanJson } from "./clean.ts";
import { bad } from "./colours.ts";

/** Prints a report of what was found, which is cleaned before: the report adds nothing but words and colours. */
export function printReport<Found>(report: (found: Found) => string, found: Found): void {
  console.log(report(cleaned(found)));
}

export function printJson(value: unknown): void {
  console.log(cleanJson(value));
}

/** Says in one line why something couldn't be done. */
export function printFailure(message: string): void {
  console.error(`${bad("✗")} ${cleanedLines(message)}`);
}

/** A message of several lines is one of our own mistakes, which shows where it is. */
function cleanedLines(text: string): string {
  return text.split("\n").map(cleaned).join("\n");
}

/**
 * Output that can't be written is no mistake of the program's. Where the reader has left, as `head` does, the work goes on and the
 * exit code says what came of it; where there is no room, that is said and the exit code is `lost`.
 */
export function handleOutputErrors(lost: number): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") return;
      if (stream === process.stdout) printFailure(`what was found can't be written: ${error.message}`);
      process.once("exit", () => {
        process.exitCode = lost;
      });
    });
  }
}
