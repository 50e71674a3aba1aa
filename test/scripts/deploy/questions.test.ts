/** The questions before a first deploy, as a person at a terminal answers them. */
import { PassThrough } from "node:stream";
import { expect, test, vi } from "vitest";
import { ask } from "../../../scripts/deploy/questions.ts";

const ENTER = "\r";
const DOWN = "\u001b[B";
const CLEAR = "\u0015";
const CANCEL = "\u0003";

/** Each key is pressed once its question is shown. */
async function answer(steps: readonly (readonly [question: string, ...keys: string[]])[], hasKeys = false) {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 40 });
  let shown = "";
  output.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  const answers = ask({ input, output }, { hasKeys });
  for (const [question, ...keys] of steps) {
    await vi.waitFor(() => expect(shown).toContain(question), { timeout: 60_000 });
    shown = "";
    for (const key of keys) input.write(key);
  }
  return await answers;
}

const WHERE = "Where is the mirror reached?";
const LIMIT = "At most this much";
const RELAY = "URL of another mirror";
const WHO = "Who may use it?";

test("one host name, closed, with a first key: the proposals are taken by Enter", async () => {
  const answers = await answer([
    [WHERE, ENTER],
    ["Host name", "mirror.example.com", ENTER],
    [LIMIT, ENTER],
    [RELAY, ENTER],
    [WHO, ENTER],
    ["A name for the first key", ENTER],
  ]);
  expect(answers).toEqual({ host: "mirror.example.com", limit: "9.5 GB", isOpen: false, keyName: "me" });
});

test("a host for each of some registries, a relay, and no key where there are keys already", async () => {
  const answers = await answer(
    [
      [WHERE, DOWN, ENTER],
      ["Domain", "example.com", ENTER],
      ["Registries", CLEAR, "docker.io, quay.io", ENTER],
      [LIMIT, CLEAR, "40 GB", ENTER],
      [RELAY, "https://home.example.com", ENTER],
      [WHO, ENTER],
    ],
    true,
  );
  expect(answers).toEqual({
    routing: "hosts",
    domain: "example.com",
    upstreams: ["docker.io", "quay.io"],
    limit: "40 GB",
    relays: ["https://home.example.com"],
    isOpen: false,
  });
});

test("workers.dev, open for everyone", async () => {
  const answers = await answer([
    [WHERE, DOWN, DOWN, DOWN, ENTER],
    [LIMIT, ENTER],
    [RELAY, ENTER],
    [WHO, DOWN, ENTER],
  ]);
  expect(answers).toEqual({ limit: "9.5 GB", isOpen: true });
});

test("what can't be right is asked for again, with what is wrong", async () => {
  const answers = await answer([
    [WHERE, ENTER],
    ["Host name", "Mirror", ENTER],
    ["isn't a host name in lower case", CLEAR, "mirror.example.com", ENTER],
    [LIMIT, CLEAR, "much", ENTER],
    ["CACHE_LIMIT", CLEAR, "1 GB", ENTER],
    [RELAY, "home.example.com", ENTER],
    ["RELAYS", CANCEL],
  ]);
  expect(answers).toBeNull();
});
