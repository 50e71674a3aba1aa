/** Stands in for the wait between two attempts of a request. */
import { setImmediate } from "node:timers/promises";
import type { Wait } from "../../../src/registry/retry.ts";

export const shortWait: Wait = (_, signal) => setImmediate(undefined, { signal });
