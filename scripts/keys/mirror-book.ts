/** The keys that a running mirror keeps, changed by the holder of its ADMIN_KEY: `/_/keys`. */
import * as v from "valibot";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { KeyBook, NewKey } from "./key-book.ts";

const Patterns = v.array(v.string());
const shownKey = {
  name: v.string(),
  allow: Patterns,
  deny: Patterns,
  push: Patterns,
  delete: Patterns,
  expires: v.nullable(v.string()),
  rate: v.nullable(v.number()),
  from: v.picklist(["configured", "mirror"]),
};
const Listed = v.object({ keys: v.array(v.object(shownKey)) });
const Made = v.object({ key: v.string(), ...shownKey });

export function mirrorBook(owner: OwnerClient, mirror: string): KeyBook {
  const json = (method: string, body: object) => ({ method, body: JSON.stringify(body) });
  const path = (name: string) => `keys/${encodeURIComponent(name)}`;
  const missing = (name: string) =>
    `there is no key named ${name} at ${mirror}, or it is of an older version`;
  const made = ({ key, ...shown }: v.InferOutput<typeof Made>): NewKey => ({ key, shown });
  return {
    place: { mirror },
    takesEffect: "It takes effect within a minute, wherever the mirror runs.",
    list: async () => (await owner.read(Listed, "keys")).keys,
    add: async (name, terms) => made(await owner.read(Made, "keys", json("POST", { name, ...terms }))),
    narrow: (name, terms) => owner.change(path(name), json("PUT", terms), missing(name)),
    rotate: async (name, expires) => {
      const body = json("POST", expires === undefined ? {} : { expires });
      return made(await owner.read(Made, `${path(name)}/rotate`, body, missing(name)));
    },
    revoke: (name) => owner.change(path(name), { method: "DELETE" }, missing(name)),
  };
}
