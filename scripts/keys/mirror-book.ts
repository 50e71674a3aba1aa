/** The keys that a running mirror keeps, changed by the holder of its ADMIN_KEY: `/_/keys`. */
import type { OwnerClient } from "../holdings/owner-client.ts";
import { Keys, MadeKey } from "../owner-api/responses.ts";
import type { KeyBook, NewKey } from "./key-book.ts";

export function mirrorBook(owner: OwnerClient, mirror: string): KeyBook {
  const json = (method: string, body: object) => ({ method, body: JSON.stringify(body) });
  const path = (name: string) => `keys/${encodeURIComponent(name)}`;
  const missing = (name: string) => ({
    404: `there is no key named ${name} at ${mirror}, or it is of an older version`,
  });
  const made = ({ key, ...shown }: MadeKey): NewKey => ({ key, shown });
  return {
    place: { mirror },
    takesEffect: "It takes effect within a minute, wherever the mirror runs.",
    list: async () => (await owner.read(Keys, "keys")).keys,
    add: async (name, terms) => made(await owner.read(MadeKey, "keys", json("POST", { name, ...terms }))),
    narrow: (name, terms) => owner.change(path(name), json("PUT", terms), missing(name)),
    rotate: async (name, expires) => {
      const body = json("POST", expires === undefined ? {} : { expires });
      return made(await owner.read(MadeKey, `${path(name)}/rotate`, body, missing(name)));
    },
    revoke: (name) => owner.change(path(name), { method: "DELETE" }, missing(name)),
  };
}
