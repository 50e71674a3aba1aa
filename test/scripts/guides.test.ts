/** docs/clients and docs/tutorials against the guides: what a reader copies is what the command line shows. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { CHINESE, ENGLISH } from "../../scripts/config/page-texts.ts";
import { clientPages } from "../../scripts/config/pages.ts";
import { CLIENTS, type ClientName } from "../../src/guides/clients.ts";
import type { GuideRequest } from "../../src/guides/guide.ts";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));

test.each([
  ["clients", ENGLISH],
  ["zh/clients", CHINESE],
] as const)("docs/%s is what `npm run docs` writes", (folder, texts) => {
  const pages = clientPages(texts);
  expect(readdirSync(join(docs, folder)).sort()).toEqual([...pages.keys()].sort());
  for (const [name, content] of pages) {
    expect(readFileSync(join(docs, folder, name), "utf8"), `${name}: run npm run docs`).toBe(content);
  }
});

test("every client has a page, and the index leads to it", () => {
  const pages = clientPages(ENGLISH);
  for (const name of Object.keys(CLIENTS)) expect(pages.get("README.md")).toContain(`](${name}.md)`);
  expect(pages.size).toBe(Object.keys(CLIENTS).length + 1);
});

function request(mirror: string): GuideRequest {
  return { mirror: new URL(mirror), domain: null, upstreams: null, key: null, shape: null };
}

describe("docs/home.md", () => {
  const text = readFileSync(join(docs, "home.md"), "utf8");
  const home = { ...request("http://192.168.1.10:8787"), upstreams: ["docker.io", "ghcr.io"] };

  test.each(["docker", "podman"] as const)("has the file of %s's guide to the letter", (client) => {
    const files = CLIENTS[client](home).steps.flatMap(({ file }) => (file ? [file] : []));
    expect(files.length).toBeGreaterThan(0);
    for (const { language, content } of files)
      expect(text).toContain(`\`\`\`${language}\n${content}\`\`\`\n`);
  });

  test("has the same settings for Colima, whose file is YAML", () => {
    const [, yaml = ""] = /^```yaml\n(.*?)^```$/ms.exec(text) ?? [];
    const { file } = CLIENTS.docker(home).steps.find((step) => step.file) ?? {};
    expect(parseYaml(yaml)).toEqual({ docker: JSON.parse(file?.content ?? "") });
  });
});

/** What each tutorial takes over from a guide. */
const TUTORIALS: { page: string; clients: ClientName[]; mirror: string }[] = [
  {
    page: "kubernetes-containerd.md",
    clients: ["containerd-1", "containerd-2"],
    mirror: "http://192.168.1.10:8787",
  },
  { page: "k3d.md", clients: ["k3d"], mirror: "http://127.0.0.1:8787" },
  { page: "minikube.md", clients: ["minikube"], mirror: "http://127.0.0.1:8787" },
];

describe.each(TUTORIALS)("the tutorial $page", ({ page, clients, mirror }) => {
  const text = readFileSync(join(docs, "tutorials", page), "utf8");
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", content = ""]) => ({
    language,
    content,
  }));
  const steps = clients.flatMap((client) => CLIENTS[client](request(mirror)).steps);

  test("has each file of its client's guide to the letter, at the same path", () => {
    const files = steps.flatMap(({ file }) => (file ? [file] : []));
    expect(files.length).toBeGreaterThan(0);
    for (const { language, content, path } of files) {
      expect(blocks).toContainEqual({ language, content });
      expect(text).toContain(`\`${path}\``);
    }
  });

  test("shows no other configuration", () => {
    const known = steps.flatMap(({ file }) => (file ? [file.content] : []));
    for (const { language, content } of blocks) {
      if (["toml", "yaml", "json"].includes(language)) expect(known).toContain(content);
    }
  });

  test("gives each command of the guide", () => {
    const shell = blocks.flatMap(({ language, content }) => (language === "sh" ? content.split("\n") : []));
    const commands = steps.flatMap(({ command }) => command?.split("\n") ?? []);
    // An example's image is the reader's choice.
    for (const line of commands.filter((each) => !each.startsWith("crictl pull")))
      expect(shell).toContain(line);
  });
});
