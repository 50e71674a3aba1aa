/** What a deploy does, decided from what there is, before anything is done. */
import type { WrittenKey } from "../../src/access/key-list.ts";
import { readConfig } from "../../src/config.ts";
import { KEY_FILE } from "../keys/key-file.ts";
import { asSecret } from "../keys/secret.ts";

export interface Situation {
  /** Whether the mirror is to be open to everyone. */
  isOpen: boolean;
  /** `[vars]` of wrangler.toml, and what `--var` puts over them. */
  vars: Readonly<Record<string, unknown>>;
  /** The list of keys; null where there is no file. */
  keys: readonly WrittenKey[] | null;
  /** Names of the secrets that are deployed; null where nothing is deployed, or that wasn't requested. */
  deployed: ReadonlySet<string> | null;
  /** The owner's secret, where one is given; otherwise one is made with the first deploy. */
  adminKey?: string | undefined;
  /** Whether Cloudflare's build service deploys it, as it does for the deploy button. It has no list of keys. */
  isBuild?: boolean;
}

export interface Plan {
  /** The variable ACCESS. */
  access: "open" | "keys";
  /** Secrets to upload with the Worker, so that it is never there without them. */
  secrets: Readonly<Record<string, string>>;
  /** A one-line summary. */
  summary: string;
}

/** Secrets that this decides on; a variable of such a name would hide the secret, or be refused beside it. */
const SECRETS = ["ACCESS_KEYS", "SIGNING_SECRET", "ADMIN_KEY"];

/**
 * A deployed mirror can be reached by the whole world, so it requires keys unless it was explicitly opened.
 * @param makeSecret makes a signing secret.
 * @throws Error that says what to do where the mirror would be open without an explicit --open, or where no client could
 *   use it; ConfigError where the Worker would not start with these variables.
 */
export function planDeploy(situation: Situation, makeSecret: () => string): Plan {
  const { isOpen, vars, keys, deployed, isBuild = false } = situation;
  const misplaced = SECRETS.filter((name) => name in vars);
  if (misplaced.length > 0) {
    throw new Error(
      `${misplaced.join(" and ")} can't be a variable of a deployed mirror: take it out of wrangler.toml; it is uploaded as a secret`,
    );
  }
  if (isBuild) {
    if (isOpen) throw new Error(BUILT_OPEN);
    readConfig({ ...vars, ACCESS: "keys" });
    return { access: "keys", secrets: {}, summary: BUILT };
  }
  if (isOpen) {
    readConfig({ ...vars, ACCESS: "open" });
    return { access: "open", secrets: {}, summary: "open to everyone who knows its address" };
  }
  const holdsKeys = deployed?.has("ACCESS_KEYS") ?? false;
  const hasKeys = holdsKeys || (keys !== null && keys.length > 0);
  const hasOwner = situation.adminKey !== undefined || deployed?.has("ADMIN_KEY") === true;
  if (!hasKeys && !hasOwner) throw new Error(withoutKeys(vars));
  const signing = deployed?.has("SIGNING_SECRET") ? {} : { SIGNING_SECRET: makeSecret() };
  const admin = deployed?.has("ADMIN_KEY") ? {} : { ADMIN_KEY: situation.adminKey ?? makeSecret() };
  const list = keys === null ? {} : { ACCESS_KEYS: asSecret(keys) };
  readConfig({ ...vars, ACCESS: "keys", SIGNING_SECRET: "0".repeat(32), ...admin, ...list });
  return {
    access: "keys",
    secrets: { ...signing, ...admin, ...list },
    summary: hasKeys ? summaryOf(keys) : BUILT,
  };
}

const BUILT =
  "closed: it opens to the keys that the holder of its ADMIN_KEY makes: npm run portolan -- key add NAME --mirror URL";

/** The button must not yield a mirror that is open to the world, whatever the repository that it clones says. */
const BUILT_OPEN =
  "a build service deploys a closed mirror only; to open it, deploy it from a terminal: npm run deploy -- --open";

function withoutKeys({ ACCESS }: Situation["vars"]): string {
  const saysOpen = ACCESS === "open" ? " (ACCESS=open in wrangler.toml doesn't say it)" : "";
  return `This mirror would be open to everyone who knows its address, or closed to everyone: there is no access key in ${KEY_FILE}.
Make one with
  npm run portolan -- key add NAME
and deploy again; or, if it is to be open to everyone, say so${saysOpen}:
  npm run deploy -- --open`;
}

function summaryOf(keys: Situation["keys"]): string {
  if (keys === null)
    return `for the holders of the keys that are deployed already; there is no ${KEY_FILE} here`;
  const names = keys.map(({ name }) => name).join(", ");
  return names === "" ? "closed: all keys are revoked" : `for the holders of access keys: ${names}`;
}
