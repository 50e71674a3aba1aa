/** What hosted repositories need of the rest; `services.ts` above puts it together. */
import type { Config } from "../config.ts";
import type { Store } from "../store/store.ts";
import type { HostedRecords } from "./records.ts";

export interface PushServices {
  config: Pick<Config, "hosted">;
  store: Store;
  hostedRecords: HostedRecords;
}
