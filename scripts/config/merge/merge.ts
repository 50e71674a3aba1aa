/** What a file becomes when a guide's settings are put into it: the rest of it stays, and what is there twice counts once. */
import type { GuideFile } from "../../../src/guides/guide.ts";
import { mergeJson } from "./json.ts";
import { mergeToml } from "./toml.ts";
import { UnsafeChange } from "./unsafe.ts";
import { mergeYaml } from "./yaml.ts";

/** What is there isn't of the file's format; nothing may be written over it. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile";
}

const BYTE_ORDER_MARK = "\uFEFF";

/**
 * @param existing the file's text; null if there is none
 * @param name of the file in messages
 * @returns the text to be written, which is the existing one if that says all of it already
 * @throws UnreadableFile; UnsafeChange if the settings can't be added without a change of what else the file says
 */
export function mergedInto(existing: string | null, file: GuideFile, name: string = file.path): string {
  if (existing === null || existing.trim() === "") return file.content;
  const mark = existing.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : "";
  try {
    return mark + mergedText(existing.slice(mark.length), file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof UnsafeChange) throw new UnsafeChange(`${name}: ${reason}`);
    throw new UnreadableFile(`${name} can't be read as ${file.language.toUpperCase()}: ${reason}`);
  }
}

function mergedText(existing: string, { language, content }: GuideFile): string {
  if (language === "json") return mergeJson(existing, content);
  if (language === "toml") return mergeToml(existing, content);
  return language === "yaml" ? mergeYaml(existing, content) : content;
}
