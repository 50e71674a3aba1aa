/** How much of an image's lists is shown: what publishers write has no bounds but a manifest's and a config's bytes. */
import type { FC } from "hono/jsx";
import type { Texts } from "../texts/en.ts";

/** Entries of a list. The page is made in memory that all requests share. */
const MOST = 1000;
/** Characters of a name. */
const LONGEST = 200;

export function shownOf<Entry>(list: readonly Entry[]): readonly Entry[] {
  return list.slice(0, MOST);
}

export function isLong(name: string): boolean {
  return name.length > LONGEST;
}

export function shortened(text: string): string {
  return isLong(text) ? `${text.slice(0, LONGEST)}…` : text;
}

/** Says how many entries aren't shown; nothing where all are. */
export const More: FC<{ of: readonly unknown[]; texts: Texts }> = ({ of: { length }, texts }) =>
  length > MOST ? <p class="note">{texts.image.andMore(length - MOST)}</p> : null;
