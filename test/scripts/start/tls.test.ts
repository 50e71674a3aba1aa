/** `npm start` with a certificate: the options that belong together, and what it prints of https. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, fetch } from "undici";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { healthOf } from "../../../scripts/local/health.ts";
import { makeKeyPair, type TestKeyPair } from "../../support/node/certificate.ts";
import { refused, Start } from "../support/start.ts";

const TLS = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];

let folder: string;
let pair: TestKeyPair;
let running: Start | null = null;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-start-tls-"));
  pair = await makeKeyPair({ dns: ["mirror.example.com"] });
  await writeFile(join(folder, "cert.pem"), pair.certificate);
  await writeFile(join(folder, "key.pem"), pair.key);
  await writeFile(join(folder, "other.pem"), (await makeKeyPair()).key);
});
afterEach(async () => {
  await running?.stop();
  running = null;
});
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

test.each<[args: string[], named: RegExp]>([
  [["--tls-cert", "cert.pem"], /^--tls-cert and --tls-key are one pair: --tls-key is missing\.$/],
  [["--tls-key", "key.pem"], /^--tls-cert and --tls-key are one pair: --tls-cert is missing\.$/],
  [
    ["--tls-cert", "none.pem", "--tls-key", "key.pem"],
    /^--tls-cert must be a file that can be read: ENOENT.*none\.pem/,
  ],
  [
    ["--tls-cert", "cert.pem", "--tls-key", "other.pem"],
    /^--tls-key: .*other\.pem isn't the key of .*cert\.pem/,
  ],
  [["--tls-cert", "key.pem", "--tls-key", "key.pem"], /^--tls-cert: .*key\.pem has no certificate/],
])("refuses %j", async (args, named) => {
  const { code, errors, output } = await refused(["--port", "0", ...args], { folder });
  expect(errors.trimEnd()).toMatch(named);
  expect([code, output]).toEqual([2, ""]);
});

test("it prints https addresses, those of clients under a name of the certificate", async () => {
  running = new Start(["--port", "0", "--host", "0.0.0.0", "--var", "ACCESS=open", ...TLS], { folder });
  const url = await running.ready();
  const { port } = new URL(url);
  await running.line(/docker pull/);
  expect(url).toBe(`https://0.0.0.0:${port}`);
  expect(running.output).toContain(`https://127.0.0.1:${port}`);
  expect(running.output).toMatch(/^ {2}TLS +for mirror\.example\.com, 127\.0\.0\.1 until \d{4}-\d\d-\d\d$/m);
  expect(running.output).not.toContain("http:");
  const dispatcher = new Agent({ connect: { ca: pair.certificate } });
  const response = await fetch(`https://127.0.0.1:${port}/_/health`, { dispatcher });
  expect(await response.json()).toEqual({ status: "ok" });
  await dispatcher.destroy();
});

test("where the address isn't one of the certificate's, clients are shown its name", async () => {
  running = new Start(["--port", "0", "--host", "127.0.0.2", ...TLS], { folder });
  const { port } = new URL(await running.ready());
  expect(await running.line(/registry-mirrors/)).toContain(`"https://mirror.example.com:${port}"`);
  expect(await running.line(/docker pull/)).toContain(`docker pull mirror.example.com:${port}/`);
});

test("its health is known by https, whatever name its certificate is for, and a second mirror names it", async () => {
  running = new Start(["--port", "0", "--host", "127.0.0.2", ...TLS], { folder });
  const url = await running.ready();
  const port = Number(new URL(url).port);
  expect(await healthOf("127.0.0.2", port)).toEqual({ url, status: "ok" });
  const other = ["--port", `${port}`, "--host", "127.0.0.2", "--data", "other"];
  for (const more of [[], TLS]) {
    const { code, errors } = await refused([...other, ...more], { folder });
    expect(errors).toContain(`A mirror is running already at ${url}; `);
    expect(code).toBe(2);
  }
});
