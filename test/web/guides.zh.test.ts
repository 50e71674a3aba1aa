/** The guides in Chinese: whole for every client. */
import { describe, expect, test } from "vitest";
import { CLIENTS } from "../../src/guides/clients.ts";
import type { GuideRequest } from "../../src/guides/guide.ts";
import { guideTextZh } from "../../src/web/texts/guides.zh.ts";

const TRANSLATED = Object.keys(CLIENTS);
const REQUESTS: GuideRequest[] = [
  "https://mirror.example.com",
  "http://127.0.0.1:8787",
  "http://192.168.1.5:8787",
].flatMap((mirror) =>
  [null, "example.com"].flatMap((domain) =>
    [null, "yourkeyyourkeyyourkeyyourkeyyour"].map((key) => ({
      ...{ mirror: new URL(mirror), domain, key, upstreams: null, shape: null },
    })),
  ),
);
const textsOf = (client: keyof typeof CLIENTS, request: GuideRequest) => {
  const { steps, notes } = CLIENTS[client](request);
  return [...steps.map(({ text }) => text), ...notes];
};

describe.each(TRANSLATED)("%s", (name) => {
  const client = name as keyof typeof CLIENTS;

  test("is in Chinese, whatever the mirror", () => {
    const missing = REQUESTS.flatMap((request) => textsOf(client, request)).filter(
      (text) => guideTextZh(text) === null,
    );
    expect([...new Set(missing)]).toEqual([]);
  });
});

test("names, commands and paths stay as they are", () => {
  for (const text of TRANSLATED.flatMap((client) =>
    textsOf(client as keyof typeof CLIENTS, REQUESTS[3] as GuideRequest),
  )) {
    const marked = (each: string) =>
      (each.match(/`[^`]+`/g) ?? []).filter((part) => !part.includes("--upstream"));
    for (const part of marked(text)) expect(marked(guideTextZh(text) ?? "")).toContain(part);
  }
});
