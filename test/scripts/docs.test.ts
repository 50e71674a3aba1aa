/** The documentation against the code: what a reader would copy, follow or rely on is what is there. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { ConfigError, hyphenated, readConfig } from "../../src/config.ts";
import { REGISTRIES } from "../../src/upstream/registries.ts";
import { BUDGETS, PULL } from "../support/budgets.ts";
import {
  anchorOf,
  type Block,
  codes,
  follow,
  links,
  type Page,
  page,
  pages,
  root,
} from "./support/documentation.ts";

const english = page("README.md");
const blocks = pages.flatMap((each) => each.blocks);

/** The rows of the table that follows a heading, without its head; a cell is its text. */
function tableBelow(from: Page, heading: string): string[][] {
  const [, section = ""] = from.prose.split(new RegExp(`^#+ ${heading}$`, "m"));
  const lines = (section.split(/^#/m, 1)[0] ?? "").split("\n").filter((line) => line.startsWith("|"));
  if (lines.length < 3) throw new Error(`${from.path}: no table below "${heading}"`);
  return lines.slice(2).map((line) => {
    const cells = line.split("|").slice(1, -1);
    return cells.map((cell) => cell.trim());
  });
}

function ofLanguage(...languages: string[]): Block[] {
  return blocks.filter(({ language }) => languages.includes(language));
}

describe("code blocks", () => {
  test("each says its language, so that none is left out here", () => {
    expect(blocks.filter(({ language }) => language === "")).toEqual([]);
    const checked = ["toml", "json", "yaml"];
    const others = ["sh", "text", "mermaid", "nginx", "ini"];
    const unknown = blocks.filter(({ language }) => ![...checked, ...others].includes(language));
    expect(unknown).toEqual([]);
  });

  test.each(ofLanguage("toml"))("$where is TOML, and its variables are taken", ({ text }) => {
    const { vars } = parseToml(text);
    // As a deploy would have them: some only make sense behind keys.
    if (typeof vars === "object") readConfig({ ACCESS: "keys", SIGNING_SECRET: "x".repeat(32), ...vars });
  });

  test.each(ofLanguage("json"))("$where is JSON", ({ text }) => {
    expect(JSON.parse(text)).toBeTypeOf("object");
  });

  test.each(ofLanguage("yaml"))("$where is YAML, and its mirrors are called by known names", ({ text }) => {
    for (const document of parseAllDocuments(text)) {
      expect(document.errors).toEqual([]);
      const { mirrors = {} } = document.toJS() as { mirrors?: Record<string, { endpoint: string[] }> };
      for (const [name, { endpoint }] of Object.entries(mirrors)) {
        if (name !== "*") expect(readConfig({}).upstream(name)?.name).toBe(name);
        for (const url of endpoint) {
          const { pathname } = new URL(url);
          expect(["/", `/v2/${name}`]).toContain(pathname);
        }
      }
    }
  });

  test.each(ofLanguage("mermaid"))(
    "$where has no semicolon, which would end a statement of Mermaid's",
    ({ text }) => {
      expect(text).not.toContain(";");
    },
  );

  test("UPSTREAMS on a command line is JSON that is taken", () => {
    const given = ofLanguage("sh").flatMap(({ text }) =>
      [...text.matchAll(/UPSTREAMS=(\{.*\})'/g)].map(([, json = ""]) => json),
    );
    expect(given).not.toEqual([]);
    for (const UPSTREAMS of given) readConfig({ PROXIES: {}, UPSTREAMS });
  });

  test("UPSTREAMS as JSON says the same as it does as TOML", () => {
    const upstreams = page("docs/upstreams.md").blocks;
    const toml = upstreams.find(({ language }) => language === "toml")?.text ?? "";
    const json = upstreams.find(({ language }) => language === "json")?.text ?? "";
    expect({ vars: { UPSTREAMS: JSON.parse(json) } }).toEqual(parseToml(toml));
    expect(() => readConfig({ UPSTREAMS: json })).not.toThrow();
  });
});

describe("the configuration tables", () => {
  const rows = page("docs/configuration.md").headings.flatMap(({ level, text }) =>
    level === 2 ? tableBelow(page("docs/configuration.md"), text) : [],
  );
  const defaults = new Map(rows.map(([name, value]) => [codes(name)[0], codes(value)[0] ?? value]));

  test("has the defaults that hold without any variable", () => {
    const config = readConfig({});
    const { allow, deny, pin, private: opened, keys } = config;
    expect(config.upstreamNames).toEqual(Object.keys(REGISTRIES).sort());
    // Without patterns ALLOW opens all, and the others nothing.
    const { immutable, quota, retention, public: anyones } = config.hosted;
    for (const patterns of [allow, deny, pin, opened, anyones, immutable, quota, retention]) {
      expect(patterns).toEqual([]);
    }
    expect(Object.fromEntries(defaults)).toEqual({
      DOMAIN: config.domain ?? "none",
      DEFAULT_UPSTREAM: config.defaultUpstream.name,
      UPSTREAMS: "{}",
      HOSTS: "none",
      LOOPBACK: "none",
      PROXIES: "none",
      TAG_TTL: String(config.tagTtl),
      STALE_MAX: String(config.staleMax),
      COOLDOWN: "{}",
      COOLDOWN_UNKNOWN: config.cooldownUnknown,
      KEEP: "none",
      WEBHOOKS: JSON.stringify(config.webhooks.urls),
      WEBHOOK_SECRET: config.webhooks.secret ?? "none",
      CACHE_LIMIT: `${config.cacheLimit / 1e9} GB`,
      MIN_FREE: config.minFree === null ? "1 GB" : "",
      PIN: "none",
      PLAN: config.plan,
      WATCH: config.watch === null ? "none" : config.watch,
      RESUME: String(config.resume),
      LAYER_CACHE: String(config.layerCache),
      HOSTED_PATH: config.hosted.path,
      HOSTED_HOST: config.hosted.host,
      HOSTED_PUBLIC: "none",
      HOSTED_IMMUTABLE: "none",
      HOSTED_QUOTA: "{}",
      HOSTED_RETENTION: "{}",
      HOSTED_SPARSE: String(config.hosted.sparse),
      ACCESS: config.access,
      ALLOW: "all",
      DENY: "none",
      PRIVATE: "none",
      ADMIN_KEY: config.adminKey ?? "none",
      OWNER: config.owner ?? "none",
      CONTACT: config.contact?.href ?? "none",
      DOCS_URL: config.docs?.href ?? "none",
      PUBLIC_SUMMARY: String(config.publicSummary),
      RELAYS: JSON.stringify(config.relays),
      RELAY_KEYS: "{}",
      TAG_QUORUM: JSON.stringify(config.tagQuorums),
      UPSTREAM_CREDENTIALS: JSON.stringify(config.credentials),
      ACCESS_KEYS: JSON.stringify(keys),
      SIGNING_SECRET: config.signingSecret ?? "none",
    });
  });

  test("has every variable that is read, and no other", () => {
    const source = readFileSync(join(root, "src/config.ts"), "utf8");
    const [, variables = ""] = /^const variables = v\.object\(\{\n(.*?)^\}\);/ms.exec(source) ?? [];
    const read = [...variables.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name);
    expect([...defaults.keys()].sort()).toEqual(read.sort());
  });

  test.each([...defaults.keys()])("%s is a name by which a wrong value is refused", (name = "") => {
    expect(() => readConfig({ [name]: "?" })).toThrow(ConfigError);
    expect(() => readConfig({ [name]: "?" })).toThrow(name);
  });

  test("README.md's are among them, and say the same", () => {
    const names = tableBelow(english, "Configuration").map(([name, value]) => [
      codes(name)[0],
      codes(value)[0] ?? value,
    ]);
    expect(Object.fromEntries(names)).toEqual(
      Object.fromEntries(names.map(([name]) => [name, defaults.get(name)])),
    );
  });

  test("wrangler.toml shows the same defaults where it shows any", () => {
    const toml = readFileSync(join(root, "wrangler.toml"), "utf8");
    const shown = [...toml.matchAll(/^# ([A-Z_]+) = "?([^"\n]+)"?$/gm)].filter(
      ([, name, value]) => name !== "DOMAIN" && !value?.startsWith("["),
    );
    for (const [, name, value] of shown) expect(value).toBe(defaults.get(name));
  });
});

describe("docs/cost.md", () => {
  const number = (text = "") => Number(text.replaceAll(",", ""));

  test("has the operations that the budget test allows", () => {
    const rows = tableBelow(page("docs/cost.md"), "Operations").map(([name, ...costs]) => {
      const [storeReads, storePuts, edgeReads, leases] = costs.map(number);
      return [name, { storeReads, storePuts, edgeReads, leases }];
    });
    expect(Object.fromEntries(rows)).toEqual(BUDGETS);
  });

  test("has what they mean for pulls", () => {
    const rows = tableBelow(page("docs/cost.md"), "Pulls").map((cells) => cells.map(number));
    expect(rows.map(([pulls]) => pulls)).toEqual([10, 100, 1_000, 10_000, 100_000]);
    for (const [pulls = 0, ...costs] of rows) {
      const { requests, storeReads } = PULL;
      expect(costs).toEqual([pulls * requests, pulls * storeReads * 30, Math.ceil((pulls * requests) / 20)]);
    }
  });
});

test("the table of upstreams is the built-in one, in its order", () => {
  const rows = tableBelow(page("docs/upstreams.md"), "Built in").map(
    ([name, labels, names, endpoint, realms]) => ({
      name: codes(name)[0],
      labels: codes(labels),
      names: codes(names),
      endpoints: codes(endpoint),
      realms: codes(realms),
    }),
  );
  const config = readConfig({});
  const builtIn = Object.entries(REGISTRIES).map(([name, { aliases = [], realms = [] }]) => ({
    name,
    labels: aliases.filter((alias) => !alias.includes(".")),
    names: aliases.filter((alias) => alias.includes(".")),
    // A family has no endpoint of its own.
    endpoints: config.upstream(name)?.endpoints.map(({ href }) => href.replace(/\/$/, "")) ?? [],
    realms: [...realms],
  }));
  expect(rows).toEqual(builtIn);
});

test("hyphenated names in the prose are known", () => {
  const names = Object.keys(REGISTRIES).map(hyphenated);
  const written = pages.flatMap(({ prose }) => [
    ...prose.matchAll(/`(?:mirror\.example\.com\/)?([a-z0-9]+-(?:k8s-)?io)\b/g),
  ]);
  expect(written).not.toEqual([]);
  for (const [, name] of written) expect(names).toContain(name);
});

describe("links", () => {
  const all = pages.flatMap((from) => links(from).map((target) => ({ from: from.path, target })));

  test.each(all)("$from: $target", ({ from, target }) => {
    const { path, anchor } = follow(from, target);
    expect(existsSync(join(root, path)), `${path} exists`).toBe(true);
    if (anchor !== undefined) expect(page(path).headings.map(anchorOf)).toContain(anchor);
  });

  test("reach every page from the README", () => {
    const reached = new Set<string>();
    const visit = (from: string): void => {
      if (reached.has(from)) return;
      reached.add(from);
      for (const target of links(page(from))) {
        const { path } = follow(from, target);
        if (path.endsWith(".md")) visit(path);
      }
    };
    visit(english.path);
    expect(pages.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});

test("every npm script that is named exists", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const texts = [...pages.map(({ prose }) => prose), ...blocks.map(({ text }) => text)];
  const named = texts.flatMap((text) =>
    [...text.matchAll(/\bnpm (?:run ([a-z0-9:-]+)|(start|test))\b/g)].map(
      ([, run, short]) => run ?? short ?? "",
    ),
  );
  expect(new Set(named).size).toBeGreaterThan(2);
  expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([]);
});

test("every path of the source that is named exists", () => {
  const named = pages.flatMap(({ prose }) => [
    ...prose.matchAll(/`((?:src|scripts|test|docs)(?:\/[\w./-]+)?)`/g),
  ]);
  expect(named).not.toEqual([]);
  for (const [, path = ""] of named) expect(existsSync(join(root, path)), path).toBe(true);
});

describe("the options of npm start", () => {
  const help = execFileSync(process.execPath, [join(root, "scripts/start.js"), "--help"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const printed = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+(?: <\S+>)?)/gm)].map(
    ([, option = ""]) => option,
  );
  const rows = tableBelow(page("docs/serve.md"), "Options");

  test("are those that --help prints, each with its argument", () => {
    expect(rows.map(([option]) => codes(option)[0])).toEqual(printed);
  });

  test("have the defaults that --help prints", () => {
    const flat = help.replaceAll(/\s+/g, " ");
    for (const [option, value] of rows) {
      const [name = ""] = codes(option);
      const [, documented] =
        new RegExp(`${name.split(" ")[0]} <[^-]*?\\(default: ("?)([^")]*)\\1\\)`).exec(flat)?.slice(1) ?? [];
      if (documented !== undefined && !["{}", "[]"].includes(documented))
        expect(codes(value)[0]).toBe(documented);
    }
  });

  test("are the only ones that a command uses", () => {
    const names = printed.map((option) => option.split(" ")[0] ?? "");
    const commands = blocks
      .flatMap(({ text }) => text.split("\n"))
      .filter((line) => /npm start --|start\.js/.test(line));
    const used = commands.flatMap((line) =>
      [...line.matchAll(/ (--[a-z-]+)/g)].map(([, option = ""]) => option),
    );
    expect(used).not.toEqual([]);
    expect(used.filter((option) => !names.includes(option))).toEqual([]);
  });
});

describe("the options of key and of npm run deploy", () => {
  const helpOf = (...args: string[]): string[] => {
    const help = execFileSync(process.execPath, [...args, "--help"], { cwd: root, encoding: "utf8" });
    return [...help.matchAll(/(?:^|, ) *(--[a-z-]+(?: <\S+>)?)/gm)].map(([, option = ""]) => option);
  };
  const commands = blocks.flatMap(({ text }) => text.split("\n"));
  const used = (pattern: RegExp): string[] =>
    commands
      .filter((line) => pattern.test(line))
      .flatMap((line) => [...line.matchAll(/ (--[a-z-]+)/g)].map(([, option = ""]) => option));

  test("key add has those of the table, and no other", () => {
    const rows = tableBelow(page("docs/access.md"), "Keys").map(([option]) => codes(option)[0]);
    expect(rows.sort()).toEqual(
      helpOf("scripts/portolan.js", "key", "add")
        .filter((option) => option !== "--help")
        .sort(),
    );
    expect(used(/ key add /)).not.toEqual([]);
    for (const option of used(/ key add /)) expect(rows.map((row) => row?.split(" ")[0])).toContain(option);
  });

  test("npm run deploy has those that are shown", () => {
    const known = helpOf("scripts/portolan.js", "deploy").map((option) => option.split(" ")[0]);
    expect(used(/npm run deploy --/)).not.toEqual([]);
    for (const option of used(/npm run deploy --/)) expect(known).toContain(option);
  });
});
