/** What the pages load. There is no source of this module: `scripts/page` bundles it from `browser` and `styles`. */

export const SCRIPT: string;
export const STYLES: string;
/** Changes with either of them. */
export const VERSION: string;
