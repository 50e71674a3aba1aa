/** A record of every blob that was stored, as JSON on a line of its own, beside those of requests. */
import { withoutKey } from "./access/url.ts";
import type { StoredFill } from "./pull/stored-fill.ts";

export interface FillRecord extends StoredFill {
  event: "stored";
}

/** A name is logged as a request's path is: without what could be an access key. */
export function logFill({ repository, ...fill }: StoredFill): void {
  const record: FillRecord = { event: "stored", ...fill, repository: withoutKey(repository) };
  console.log(JSON.stringify(record));
}
