/** A ledger's object that can be had fail: every call of it is rejected, as the platform does over a quota or after a reset. */
import { env } from "cloudflare:workers";
import type { ObjectsOf } from "../../src/objects/stubs.ts";

/** @param isOut whether calls fail now. @returns the binding. */
export function ledgerWithOutages<Methods extends object>(isOut: () => boolean): ObjectsOf<Methods> {
  const real = (env as unknown as { LEDGER: ObjectsOf<Methods> }).LEDGER;
  return {
    getByName: (name) =>
      isOut()
        ? new Proxy({} as Methods, {
            get: () => () => Promise.reject(Object.assign(new Error("out of order"), { remote: true })),
          })
        : real.getByName(name),
  };
}
