/** What commands print: what they found, as JSON for programs or as a report for people, and why they failed. */
import { cleaned, cleanJson } from "./clean.ts";
import { bad } from "./colours.ts";

export interface Output {
  /** A line on standard output: fixed text, or already sanitized. */
  line(text: string): void;
  /** The same on standard error. */
  errorLine(text: string): void;
  /** A report of sanitized results: the report adds only text and colours. */
  report<Found>(report: (found: Found) => string, found: Found): void;
  json(value: unknown): void;
  /** Reports in one line why something failed. */
  failure(message: string): void;
}

export function outputTo(stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output {
  const line = (text: string) => void stdout.write(`${text}\n`);
  const errorLine = (text: string) => void stderr.write(`${text}\n`);
  return {
    line,
    errorLine,
    report: (report, found) => line(report(cleaned(found))),
    json: (value) => line(cleanJson(value)),
    failure: (message) => errorLine(failureLine(message)),
  };
}

function failureLine(message: string): string {
  // A message of several lines is a bug, with its stack trace.
  return `${bad("✗")} ${message.split("\n").map(cleaned).join("\n")}`;
}

/**
 * Output that can't be written is not a bug. If the reader has closed the pipe, as `head` does, the work continues and the
 * exit code is that of the work; where the disk is full, that is reported and the exit code is `lost`.
 */
export function handleOutputErrors(lost: number): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") return;
      if (stream === process.stdout) {
        process.stderr.write(`${failureLine(`the result can't be written: ${error.message}`)}\n`);
      }
      process.once("exit", () => {
        process.exitCode = lost;
      });
    });
  }
}
