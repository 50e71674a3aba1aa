import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { openProgress } from "../../../scripts/terminal/progress.ts";

/** A terminal, or a file, that keeps what is written to it. */
function output(isTTY: boolean): { stream: NodeJS.WriteStream; written: () => string } {
  const pass = new PassThrough();
  const chunks: Buffer[] = [];
  pass.on("data", (chunk: Buffer) => chunks.push(chunk));
  const stream = Object.assign(pass, { isTTY, columns: 100, rows: 30 });
  return { stream: stream as unknown as NodeJS.WriteStream, written: () => Buffer.concat(chunks).toString() };
}

function work(isTTY: boolean, quiet = false): string {
  const { stream, written } = output(isTTY);
  const progress = openProgress({ output: stream, quiet });
  progress.say("one → other");
  const layer = progress.start("sha256:beef", 2_000_000);
  const config = progress.start("sha256:cafe", 10);
  layer.advance(500_000);
  layer.advance(1_500_000);
  layer.done("copied");
  config.done();
  progress.stop();
  return written();
}

describe("progress", () => {
  test("is a line for each thing that is worth one where there is no terminal", () => {
    expect(work(false)).toBe("one → other\nsha256:beef 2 MB copied\n");
  });

  test("is bars on a terminal, above which what is done stays", () => {
    const written = work(true);
    expect(written).toContain("one → other\n");
    expect(written).toMatch(/sha256:cafe ░+ 0 B \/ 10 B/);
    expect(written).toContain("sha256:beef 2 MB copied\n");
    // Wrapping is switched on again, and nothing waits for signals any more.
    expect(written.lastIndexOf("\x1b[?7h")).toBeGreaterThan(written.lastIndexOf("\x1b[?7l"));
    expect(process.listenerCount("SIGINT")).toBe(0);
  });

  test.each([
    ["a terminal", true, /[⠋⠙⠹] registry\.example\.com 0 s/],
    ["no terminal", false, /^registry\.example\.com …\n$/],
  ])("shows work that takes long, and none that doesn't, on %s", async (_, isTTY, shown) => {
    const { stream, written } = output(isTTY);
    const progress = openProgress({ output: stream, patience: 5 });
    let end = (_: number) => {};
    const long = progress.during(
      "registry.example.com",
      new Promise<number>((resolve) => {
        end = resolve;
      }),
    );
    expect(await progress.during("short", Promise.resolve(1))).toBe(1);
    await expect.poll(written).toMatch(shown);
    end(2);
    expect(await long).toBe(2);
    progress.stop();
    expect(written()).not.toContain("short");
  });

  test("shows no work that fails any longer, and passes its failure on", async () => {
    const { stream } = output(false);
    const progress = openProgress({ output: stream, patience: 5 });
    await expect(progress.during("it", Promise.reject(new Error("why")))).rejects.toThrow("why");
  });

  test("isn't there beside JSON", () => {
    expect(work(true, true)).toBe("");
  });
});
