/** The few colours there are, each with one meaning. NO_COLOR, FORCE_COLOR and output that isn't a terminal are honoured. */
import { styleText } from "node:util";

export const good = (text: string): string => styleText("green", text);
export const warning = (text: string): string => styleText("yellow", text);
export const bad = (text: string): string => styleText("red", text);
/** Details for reference. */
export const quiet = (text: string): string => styleText("dim", text);
export const strong = (text: string): string => styleText("bold", text);
