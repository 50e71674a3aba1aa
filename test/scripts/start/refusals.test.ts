/** What `npm start` refuses: it says in one sentence which option is wrong and what would be right, and exits with 2. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { refused, Start } from "../support/start.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-refusals-"));
  await writeFile(join(folder, "a file"), "");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Arguments, and what the message must name. */
const WRONG: [args: string[], named: RegExp][] = [
  [["--port", "http"], /--port.*0 to 65535/],
  [["--port", "65536"], /--port.*0 to 65535/],
  [["--host", "203.0.113.1"], /--host/],
  [["--host", "no-such-host.invalid"], /--host/],
  [["--upstream", "local.test"], /--upstream.*NAME=URL/],
  [["--upstream", "local.test=nonsense"], /(--upstream|UPSTREAMS)\W.*local\.test.*URL/],
  [
    ["--upstream", "local.test=http://registry.example"],
    /UPSTREAMS\.local\.test\.endpoints: http:\/\/registry\.example .*--insecure NAME/,
  ],
  [
    ["--upstream", "local.test=https://a.example,http://127.0.0.1:5001", "--insecure", "other.test"],
    /UPSTREAMS\.local\.test\.endpoints: http:\/\/127\.0\.0\.1:5001 .*--insecure NAME/,
  ],
  [
    ["--upstream", "Local.Test=https://registry.example"],
    /(--upstream|UPSTREAMS)\W.*Local\.Test.*lower-case/,
  ],
  [["--key-file", "key.txt"], /--key-file is for --behind or --push-to, which is missing/],
  [["--push-to", "mirror.example.com"], /--push-to must be the URL of a mirror/],
  [["--push-to", "https://user:secret@mirror.example.com"], /--push-to must be the URL of a mirror/],
  [["--push-to", "https://mirror.example.com/hosted/team"], /--push-to must be the URL of a mirror/],
  [["--push-to", "http://mirror.example.com"], /--push-to .*without encryption/],
  [
    ["--push-to", "https://a.example", "--behind", "https://b.example", "--key-file", "key.txt"],
    /--key-file has the key of one mirror/,
  ],
  [["--behind", "https://a.example", "--key-file", "none.txt"], /--key-file can't be read/],
  [["--behind", "http://a.example"], /RELAYS\.0\.url.*without encryption/],
  [["--var", "TAG_TTL"], /--var.*KEY=VALUE/],
  [["--var", "TAG_TTL=soon"], /TAG_TTL.*seconds/],
  [["--var", "TAGTTL=60"], /no variable TAGTTL; did you mean TAG_TTL\?/],
  [["--var", "cache_limit=1 GB"], /no variable cache_limit; did you mean CACHE_LIMIT\?/],
  [["--var", "LOOPBACK=true"], /no variable LOOPBACK/],
  [["--var", "COLOUR=red"], /no variable COLOUR(?!.*did you mean)/],
  [["--var", "DEFAULT_UPSTREAM=nowhere.test"], /DEFAULT_UPSTREAM.*nowhere\.test/],
  [["--var", "UPSTREAMS={"], /UPSTREAMS.*JSON/],
  [["--var", "UPSTREAMS=[1]"], /UPSTREAMS.*(table|object)/i],
  [["--var", "UPSTREAMS={", "--upstream", "local.test=https://registry.example"], /UPSTREAMS.*JSON/],
  [["--data", "a file"], /--data/],
  [["--nonsense"], /--nonsense/],
  [["nonsense"], /too many arguments|nonsense/],
];

function isStackTrace(text: string): boolean {
  return /^\s+at \S/m.test(text);
}

it.concurrent.for(WRONG)("refuses %j", async ([args, named]) => {
  const { code, errors, output } = await refused(["--port", "0", ...args], { folder });
  expect(errors).toMatch(named);
  expect(isStackTrace(errors)).toBe(false);
  expect(output).toBe("");
  expect(code).toBe(2);
});

it.concurrent("refuses a misspelled variable of the environment", async () => {
  const { code, errors } = await refused(["--port", "0"], {
    folder,
    environment: { PORTOLAN_ACESS: "keys" },
  });
  expect(errors).toContain("There is no variable PORTOLAN_ACESS; did you mean PORTOLAN_ACCESS?");
  expect(code).toBe(2);
});

it.concurrent("refuses a port that another mirror has, and says that it is one", async () => {
  const other = new Start(["--port", "0", "--data", "other"], { folder });
  try {
    const { port } = new URL(await other.ready());
    const { code, errors } = await refused(["--port", port], { folder });
    expect(errors).toMatch(
      new RegExp(`A mirror is running already at http://127\\.0\\.0\\.1:${port}; .*--port`),
    );
    expect(code).toBe(2);
  } finally {
    await other.stop();
  }
});

it.concurrent("refuses a folder that another mirror uses, until that one has ended, however it did", async () => {
  const args = ["--port", "0", "--data", "shared"];
  const first = new Start(args, { folder });
  let second: Start | null = null;
  try {
    await first.ready();
    const { code, errors } = await refused(args, { folder });
    expect(errors).toMatch(/another mirror uses .*shared.*--data/);
    expect(code).toBe(2);
    await first.stop();
    second = new Start(args, { folder });
    expect((await fetch(`${await second.ready()}/v2/`)).status).toBe(200);
  } finally {
    await first.stop();
    await second?.stop();
  }
});

it.concurrent("refuses a port that is taken, and names the way out", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  try {
    const address = taken.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    const { code, errors, output } = await refused(["--port", String(address.port)], { folder });
    expect(errors).toMatch(/taken.*--port/);
    expect(isStackTrace(errors)).toBe(false);
    expect(output).toBe("");
    expect(code).toBe(2);
  } finally {
    taken.close();
  }
});
