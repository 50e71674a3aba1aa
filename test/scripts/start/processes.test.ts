/** `npm start` as a process: it stops on a signal, takes everything it started along, and opens no connection. */
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEADLINE, until } from "../../sockets/support/deadline.ts";
import { Download } from "../../sockets/support/download.ts";
import { MIB, serveBlob } from "../../sockets/support/stage.ts";
import { makeKeyPair } from "../../support/node/certificate.ts";
import { type RawFaults, startRawFaults } from "../../support/node/raw-faults.ts";
import { descendants, isAlive, Serve } from "../support/start.ts";

const isLinux = process.platform === "linux";
/** Absent from most machines, and tracing may be forbidden where it is there. */
const canTrace = isLinux && spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;

let folder: string;
let upstream: RawFaults;
let serve: Serve | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-processes-"));
  upstream = await startRawFaults();
});
afterEach(async () => {
  await serve?.kill();
  serve = null;
  await upstream.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

function start(wrapper: readonly string[] = [], more: readonly string[] = []): Serve {
  serve = new Serve(
    ["--port", "0", "--upstream", `local.test=${upstream.url}`, "--insecure", "local.test", ...more],
    {
      folder,
      wrapper,
    },
  );
  return serve;
}

async function expectGone(children: ReadonlyMap<number, string>): Promise<void> {
  for (const [pid, name] of children) await until(`its ${name} to end`, DEADLINE, () => !isAlive(pid));
}

describe.runIf(isLinux)("stopped", () => {
  it.each([
    ["SIGINT", "alone"],
    ["SIGTERM", "alone"],
    ["SIGINT", "group"],
    ["SIGHUP", "group"],
  ] as const)("by %s to it %s it exits with 0 and leaves no process behind", async (signal, to) => {
    const running = start();
    await running.ready();
    const children = descendants(running.pid);
    expect([...children.values()].join()).toContain("workerd");
    running.signal(signal, to);
    const { code } = await running.end();
    expect(running.errors).toBe("");
    expect(code).toBe(0);
    await expectGone(children);
  });

  it("in the middle of a download it lets that end first", async () => {
    const running = start();
    const url = await running.ready();
    const blob = serveBlob(upstream, 4 * MIB, { fault: { type: "trickle", bytesPerSecond: 2 * MIB } });
    const client = await Download.open(`${url}/v2/local.test/some/repository/blobs/${blob.digest}`);
    await client.readTo(MIB / 2);
    const children = descendants(running.pid);
    running.signal("SIGTERM");
    expect(await client.end()).toBe("whole");
    expect(client.digest).toBe(blob.digest);
    expect((await running.end()).code).toBe(0);
    await expectGone(children);
  });

  it("twice, it doesn't wait for a download", async () => {
    const running = start();
    const url = await running.ready();
    const blob = serveBlob(upstream, 8 * MIB, { fault: { type: "stall", after: MIB } });
    const client = await Download.open(`${url}/v2/local.test/some/repository/blobs/${blob.digest}`);
    await client.readTo(MIB / 2);
    const children = descendants(running.pid);
    running.signal("SIGTERM");
    await running.line(/Ctrl-C again/);
    running.signal("SIGTERM");
    const { code } = await running.end();
    expect(code).toBe(0);
    expect(await client.end()).toBe("broken");
    await expectGone(children);
  });

  it("by SIGKILL, it takes workerd with it", async () => {
    const running = start();
    await running.ready();
    const children = descendants(running.pid);
    running.signal("SIGKILL");
    await expectGone(children);
  });

  it("because workerd has ended, it says so and fails", async () => {
    const running = start();
    await running.ready();
    for (const [pid, name] of descendants(running.pid)) if (name === "workerd") process.kill(pid, "SIGKILL");
    expect((await running.end()).code).toBe(1);
    expect(running.errors).toBe("The runtime has ended by itself (SIGKILL).\n");
  });

  describe("serving https", () => {
    const startWithTls = async () => {
      const { certificate, key } = await makeKeyPair();
      await writeFile(join(folder, "cert.pem"), certificate);
      await writeFile(join(folder, "key.pem"), key);
      const running = start([], ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
      await running.ready();
      const children = descendants(running.pid);
      const runtimes = [...children].filter(([, name]) => name === "workerd").map(([pid]) => pid);
      expect(runtimes).toHaveLength(2);
      return { running, children, runtimes };
    };

    it.each(["SIGTERM", "SIGKILL"] as const)("by %s, it leaves no process behind", async (signal) => {
      const { running, children } = await startWithTls();
      running.signal(signal);
      expect((await running.end()).code).toBe(signal === "SIGTERM" ? 0 : null);
      await expectGone(children);
    });

    it.each([0, 1])("because either workerd has ended, it says so and fails: %i", async (which) => {
      const { running, children, runtimes } = await startWithTls();
      process.kill(runtimes[which] ?? 0, "SIGKILL");
      expect((await running.end()).code).toBe(1);
      expect(running.errors).toMatch(/^The runtime has ended by itself \(\S.*\)\.\n$/);
      await expectGone(children);
    });
  });

  it("before it is ready it leaves no process behind either", async () => {
    const running = start();
    let children = new Map<number, string>();
    await until("workerd to be started", DEADLINE, () => {
      children = descendants(running.pid);
      return [...children.values()].join().includes("workerd");
    });
    running.signal("SIGTERM");
    await running.end();
    await expectGone(children);
  });
});

describe.runIf(canTrace)("traced (needs strace)", () => {
  it("connects to nothing beyond this machine when it starts", async () => {
    const trace = join(folder, "trace");
    const running = start(["strace", "-f", "-e", "trace=bind,connect,sendto,sendmsg", "-o", trace]);
    const url = await running.ready();
    expect((await fetch(`${url}/v2/`)).status).toBe(200);
    await running.line(/ GET /);
    await running.kill();
    const calls = (await readFile(trace, "utf8")).split("\n");
    // That it listens shows that the trace would have seen it call, too.
    expect(calls.some((call) => call.includes("bind(") && call.includes("127.0.0.1"))).toBe(true);
    const abroad = calls.filter(
      (call) => /AF_INET6?\b/.test(call) && !/inet_addr\("127\.|"::1"|"::ffff:127\./.test(call),
    );
    expect(abroad).toEqual([]);
  });
});
