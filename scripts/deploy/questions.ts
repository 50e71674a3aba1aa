/** What is asked on a terminal before the first deploy. */
import type { Readable, Writable } from "node:stream";
import { type Choices, settingsOf, USUAL } from "./choices.ts";

export interface Answers extends Choices {
  /** Whether everyone may use it. */
  isOpen: boolean;
  /** Of the first key, where one is to be made. */
  keyName?: string;
}

export interface Terminal {
  input: Readable;
  output: Writable;
}

const ADVICE =
  "workers.dev can't be reached from mainland China and has no edge cache: for use from there, take a domain of your own, which must be active on Cloudflare.";

/** @returns null if the person gave up. */
export async function ask(terminal: Terminal, { hasKeys }: { hasKeys: boolean }): Promise<Answers | null> {
  const { isCancel, note, select, text } = await import("@clack/prompts");
  class Cancelled extends Error {}
  const given = <Value>(value: Value | symbol): Value => {
    if (typeof value === "symbol" || isCancel(value)) throw new Cancelled();
    return value;
  };
  const line = async (message: string, initialValue = "", check: (text: string) => void = () => {}) =>
    given<string>(
      await text({
        ...terminal,
        message,
        initialValue,
        validate: (value = "") => {
          try {
            check(value.trim());
            return undefined;
          } catch (error) {
            return error instanceof Error ? error.message : String(error);
          }
        },
      }),
    ).trim();
  try {
    note(ADVICE, "Before you start", terminal);
    const where = given(
      await select({
        ...terminal,
        message: "Where is the mirror reached?",
        options: [
          { value: "host", label: "one host name of mine", hint: "mirror.example.com/ghcr.io/…" },
          {
            value: "hosts",
            label: "a host name for each registry",
            hint: "docker.example.com, ghcr.example.com",
          },
          {
            value: "wildcard",
            label: "all host names of a domain that serves nothing else",
            hint: "*.example.com",
          },
          { value: "workers.dev", label: "workers.dev, to try it out" },
        ],
      }),
    );
    const choices: Choices = {};
    if (where === "host") {
      choices.host = await line("Host name", "", (host) => settingsOf({ host }));
    } else if (where !== "workers.dev") {
      choices.routing = where === "wildcard" ? "wildcard" : "hosts";
      choices.domain = await line("Domain", "", (domain) => settingsOf({ domain }));
      if (where === "hosts") {
        const names = (list: string) => list.split(/[\s,]+/).filter((name) => name !== "");
        const check = (list: string) => settingsOf({ domain: "example.com", upstreams: names(list) });
        choices.upstreams = names(await line("Registries", USUAL.join(", "), check));
      }
    }
    choices.limit = await line("At most this much is stored; R2's first 10 GB are free", "9.5 GB", (limit) =>
      settingsOf({ limit }),
    );
    const relay = await line(
      "URL of another mirror of yours, for when registries limit Cloudflare (none: Enter)",
      "",
      (url) => settingsOf({ relays: url === "" ? [] : [url] }),
    );
    if (relay !== "") choices.relays = [relay];
    const access = given(
      await select({
        ...terminal,
        message: "Who may use it?",
        options: [
          { value: "keys", label: "holders of access keys" },
          {
            value: "open",
            label: "everyone who knows the address",
            hint: "read docs/deploy.md, What Cloudflare's terms say, first",
          },
        ],
      }),
    );
    if (access === "open") return { ...choices, isOpen: true };
    if (hasKeys) return { ...choices, isOpen: false };
    return { ...choices, isOpen: false, keyName: await line("A name for the first key", "me") };
  } catch (error) {
    if (error instanceof Cancelled) return null;
    throw error;
  }
}
