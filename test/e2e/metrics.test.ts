// A real Prometheus, set up as docs/monitoring.md says, scrapes the mirror while it serves: the dashboard and the alerts have their data.
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { parse, stringify } from "yaml";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { freePort, isolated, run, startDaemon, waitFor, workspace } from "./support/process.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const RULES = docs("monitoring/alerts.yml");

let upstream: Upstream;
let mirror: Served;
let prometheus: { url: string; stop(): Promise<void> };

beforeAll(async () => {
  upstream = await startUpstream(inject("registry"));
  upstream.interfere = ({ kind }) =>
    kind === "manifest" ? { adds: { "ratelimit-remaining": "76;w=21600" } } : null;
  mirror = await serve({ "docker.io": upstream.url }, {}, { ADMIN_KEY, TAG_TTL: "0" });
  prometheus = await startPrometheus(new URL(mirror.url).host);
});
afterAll(async () => {
  await prometheus?.stop();
  await mirror?.stop();
  await upstream?.stop();
});

/** With the page's configuration, but for the address and how often it scrapes. */
async function startPrometheus(target: string): Promise<typeof prometheus> {
  const { folder, hosts, remove } = await workspace("prometheus");
  const port = await freePort();
  const [, documented = ""] = /```yaml\n(.*?)```/s.exec(await readFile(docs("monitoring.md"), "utf8")) ?? [];
  expect(documented).toContain("127.0.0.1:8787");
  const file = join(folder, "prometheus.yml");
  await writeFile(join(folder, "admin-key"), ADMIN_KEY);
  await copyFile(RULES, join(folder, "alerts.yml"));
  const often = { scrape_interval: "1s", evaluation_interval: "1s" };
  await writeFile(file, `${stringify({ global: often })}${documented.replace("127.0.0.1:8787", target)}`);
  const url = `http://127.0.0.1:${port}`;
  const daemon = await startDaemon({
    name: "prometheus",
    folder,
    command: isolated(hosts, [
      "prometheus",
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]),
    ready: async () => (await fetch(`${url}/-/ready`)).ok,
  });
  return {
    url,
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** @throws Error for an expression that Prometheus doesn't take. */
async function samplesOf(expression: string): Promise<Sample[]> {
  const response = await fetch(`${prometheus.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { status, error, data } = (await response.json()) as {
    status: string;
    error?: string;
    data: { result: Sample[] };
  };
  if (status !== "success") throw new Error(`${expression}: ${error}`);
  return data.result;
}

/** The value of an expression; null while there is none. */
async function measured(expression: string): Promise<number | null> {
  const value = (await samplesOf(expression))[0]?.value[1];
  return value === undefined ? null : Number(value);
}

const repository = () => `${mirror.url}/v2/${REPOSITORIES["docker.io"]}`;

test("it has what the mirror served, by upstream and by where it came from", async () => {
  const blob = `${repository()}/blobs/${inject("image").amd64.config.digest}`;
  for (let pull = 0; pull < 25; pull++) await (await fetch(blob)).arrayBuffer();
  const pulls = 'sum(portolan_requests_total{upstream="docker.io",kind="blob",code="200"})';
  await waitFor("Prometheus to have every pull", 30_000, async () => (await measured(pulls)) === 25);
  expect(await measured('sum(portolan_requests_total{kind="blob",served="store"})')).toBeGreaterThanOrEqual(
    20,
  );
  expect(await measured('sum(portolan_response_bytes_total{upstream="docker.io"})')).toBeGreaterThan(0);
  expect(await measured("portolan_store_limit_bytes")).toBe(9_500_000_000);
  expect(await measured(`portolan_circuit_open{endpoint="${upstream.url}/"}`)).toBe(0);
  expect(await measured("up")).toBe(1);
});

test("it has what the upstream answered, and how many pulls it leaves", async () => {
  for (let pull = 0; pull < 3; pull++) await (await fetch(`${repository()}/manifests/${TAG}`)).arrayBuffer();
  const remaining = 'portolan_upstream_pulls_remaining{upstream="docker.io",login="anonymous"}';
  await waitFor("Prometheus to have what is left", 30_000, async () => (await measured(remaining)) === 76);
  const ok = `portolan_upstream_requests_total{upstream="docker.io",endpoint="${upstream.url}/",outcome="ok"}`;
  await waitFor("the requests that succeeded", 30_000, async () => ((await measured(ok)) ?? 0) >= 3);
  expect(
    await measured('time() - portolan_upstream_last_success_timestamp_seconds{upstream="docker.io"}'),
  ).toBeLessThan(3600);
});

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
}

/** What a mirror has only once it has evicted something. */
const OF_EVICTION = /portolan_(store|evicted)_bytes/;

test("every query of the dashboard is one, and has data", async () => {
  const { panels } = JSON.parse(await readFile(docs("monitoring/dashboard.json"), "utf8")) as Dashboard;
  const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(queries.length).toBeGreaterThan(12);
  for (const query of queries) {
    const expression = query.replaceAll(/\$__(rate_interval|range)/g, "5m").replaceAll("$upstream", ".*");
    if (OF_EVICTION.test(query)) await samplesOf(expression);
    else
      await waitFor(`data of ${query}`, 30_000, async () => {
        await fetch(`${repository()}/manifests/none`);
        return (await samplesOf(expression)).length > 0;
      });
  }
});

interface RuleFile {
  groups: { rules: { alert: string; expr: string; for?: string; labels: object }[] }[];
}

test("Prometheus has taken the alerts, and none fires at a mirror that is well", async () => {
  const { groups } = parse(await readFile(RULES, "utf8")) as RuleFile;
  const named = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  await waitFor("every rule to be evaluated", 30_000, async () => {
    const { data } = (await (await fetch(`${prometheus.url}/api/v1/rules`)).json()) as {
      data: { groups: { rules: { name: string; health: string; state: string }[] }[] };
    };
    const rules = data.groups.flatMap(({ rules }) => rules);
    const well = rules.filter(({ health, state }) => health === "ok" && state === "inactive");
    return named.every((name) => well.some((rule) => rule.name === name));
  });
});

/** A minute's samples of series under which each alert fires, in promtool's notation. */
const FIRING: Record<string, Record<string, string>> = {
  PortolanDown: { 'up{job="portolan",instance="m"}': "0x300" },
  PortolanFails: {
    'portolan_requests_total{code="500"}': "0+1x300",
    'portolan_requests_total{code="200"}': "0+9x300",
  },
  PortolanLedgerDown: { 'portolan_ledger_up{instance="m"}': "0x300" },
  PortolanEndpointDown: { 'portolan_circuit_open{endpoint="e"}': "1x300" },
  PortolanUpstreamLimits: {
    'portolan_upstream_requests_total{upstream="u",endpoint="e",outcome="limited"}': "0+1x300",
  },
  PortolanPullsNearlyUsed: { 'portolan_upstream_pulls_remaining{upstream="u",login="#1"}': "9x300" },
  PortolanUpstreamSilent: {
    'portolan_upstream_last_success_timestamp_seconds{upstream="u",endpoint="e"}': "0x300",
    'portolan_upstream_requests_total{upstream="u",endpoint="e",outcome="failed"}': "0+1x300",
  },
  PortolanServesStale: { 'portolan_stale_served_total{upstream="u"}': "0+1x300" },
  PortolanFillsFail: {
    'portolan_fills_total{outcome="failed"}': "0+1x300",
    'portolan_fills_total{outcome="stored"}': "0+2x300",
  },
  PortolanStoreOverLimit: {
    'portolan_store_bytes{kind="blobs",visibility="public"}': "11x300",
    portolan_store_limit_bytes: "10x300",
  },
};

/** What is below each alert's threshold. */
const QUIET: Record<string, Record<string, string>> = {
  PortolanDown: { 'up{job="portolan",instance="m"}': "1x300" },
  PortolanFails: {
    'portolan_requests_total{code="500"}': "0+1x300",
    'portolan_requests_total{code="200"}': "0+99x300",
  },
  PortolanLedgerDown: { 'portolan_ledger_up{instance="m"}': "1x300" },
  PortolanEndpointDown: { 'portolan_circuit_open{endpoint="e"}': "0x300" },
  PortolanUpstreamLimits: {
    'portolan_upstream_requests_total{upstream="u",endpoint="e",outcome="limited"}': "7x300",
  },
  PortolanPullsNearlyUsed: {
    'portolan_upstream_pulls_remaining{upstream="u",login="#1"}': "0x300",
    'portolan_upstream_pulls_remaining{upstream="u",login="#2"}': "100x300",
  },
  PortolanUpstreamSilent: {
    'portolan_upstream_last_success_timestamp_seconds{upstream="u",endpoint="e"}': "0x300",
    'portolan_upstream_requests_total{upstream="u",endpoint="e",outcome="failed"}': "7x300",
  },
  PortolanServesStale: { 'portolan_stale_served_total{upstream="u"}': "7x300" },
  PortolanFillsFail: {
    'portolan_fills_total{outcome="failed"}': "0+1x300",
    'portolan_fills_total{outcome="stored"}': "0+9x300",
  },
  PortolanStoreOverLimit: {
    'portolan_store_bytes{kind="blobs",visibility="public"}': "9x300",
    portolan_store_limit_bytes: "10x300",
  },
};

test("promtool has each alert fire for its reason, and not below it", async () => {
  const { groups } = parse(await readFile(RULES, "utf8")) as RuleFile;
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  expect(Object.keys(FIRING).sort()).toEqual([...alerts].sort());
  const { folder, remove } = await workspace("promtool");
  try {
    const cases = alerts.flatMap((alert) => [
      caseOf(alert, FIRING[alert], 1),
      caseOf(alert, QUIET[alert], 0),
    ]);
    const file = join(folder, "tests.yml");
    await copyFile(RULES, join(folder, "alerts.yml"));
    await writeFile(file, stringify({ rule_files: ["alerts.yml"], evaluation_interval: "1m", tests: cases }));
    await run(["promtool", "check", "rules", RULES]);
    await run(["promtool", "test", "rules", file]);
  } finally {
    await remove();
  }
});

/** Counts the alerts that fire after four hours, whatever their annotations say. */
function caseOf(alert: string, series: Record<string, string> = {}, firing: number): object {
  const input = Object.entries(series).map(([name, values]) => ({ series: name, values }));
  const expression = `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`;
  return {
    interval: "1m",
    input_series: input,
    promql_expr_test: [{ expr: expression, eval_time: "4h", exp_samples: [{ labels: "{}", value: firing }] }],
  };
}
