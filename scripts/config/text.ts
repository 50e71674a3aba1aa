/** A guide as lines for a terminal. */
import { styleText } from "node:util";
import type { Guide, Step } from "../../src/guides/guide.ts";

export function guideText({ title, steps, notes }: Guide): string {
  const parts = [styleText("bold", title), ...steps.map((step, index) => stepText(step, index + 1))];
  if (notes.length > 0) parts.push(["Notes", ...notes.map((note) => `- ${note}`)].join("\n"));
  return `${parts.join("\n\n")}\n`;
}

function stepText({ text, file, command }: Step, number: number): string {
  const lines = [`${number}. ${text}`];
  if (file) lines.push("", styleText("cyan", `   ${file.path}`), "", indented(file.content.trimEnd()));
  if (command) lines.push("", indented(command));
  return lines.join("\n");
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "   ");
}
