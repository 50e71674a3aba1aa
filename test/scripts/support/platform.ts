/** Cloudflare's API on loopback, as far as Wrangler uses it for a deploy: one account with at most one Worker. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Binding {
  name: string;
  type: string;
  text?: string;
  bucket_name?: string;
  namespace_id?: string;
}

interface Upload {
  bindings: Binding[];
  migrations?: { new_tag?: string };
}

export interface Platform {
  /** For the process that runs Wrangler. */
  environment: Record<string, string>;
  /** What is deployed; null for nothing. */
  worker: Upload | null;
  buckets: string[];
  namespaces: { id: string; title: string }[];
  domains: string[];
  crons: string[];
  /** `METHOD path`, below the account. */
  requests: string[];
  close(): Promise<void>;
}

const ACCOUNT = "a".repeat(32);
const TOKEN = "a-token-of-the-test";
const SECRET = "secret_text";

export async function startPlatform(): Promise<Platform> {
  const platform: Platform = {
    environment: {},
    worker: null,
    buckets: [],
    namespaces: [],
    domains: [],
    crons: [],
    requests: [],
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  const server = createServer((request, response) => {
    handle(platform, request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  platform.environment = {
    CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}/client/v4`,
    CLOUDFLARE_API_TOKEN: TOKEN,
    CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
  };
  return platform;
}

async function handle(platform: Platform, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const { pathname } = new URL(request.url ?? "", "http://platform");
  const path = pathname.replace(/^\/client\/v4(\/accounts\/[^/]+)?/, "");
  const route = `${request.method} ${path}`;
  platform.requests.push(route);
  const { status, code, result } =
    request.headers.authorization === `Bearer ${TOKEN}`
      ? await resultOf(platform, route, body, request.headers["content-type"] ?? "")
      : { status: 403, code: 10000, result: null };
  const errors = status === 200 ? [] : [{ code, message: `the fake platform refuses ${route}` }];
  response.writeHead(status, { "Content-Type": "application/json" });
  const page = { page: 1, per_page: 100, count: 0, total_count: 0 };
  response.end(JSON.stringify({ success: status === 200, errors, messages: [], result, result_info: page }));
}

interface Result {
  status: number;
  code: number;
  result: unknown;
}

const ok = (result: unknown): Result => ({ status: 200, code: 0, result });
const absent = (code: number): Result => ({ status: 404, code, result: null });

async function resultOf(platform: Platform, route: string, body: Buffer, type: string): Promise<Result> {
  const { worker } = platform;
  const json = () => JSON.parse(body.toString());
  const [, bucket] = /^(?:GET|DELETE) \/r2\/buckets\/([^/]+)$/.exec(route) ?? [];
  if (bucket !== undefined) {
    if (!platform.buckets.includes(bucket)) return absent(10006);
    if (route.startsWith("DELETE")) platform.buckets = platform.buckets.filter((each) => each !== bucket);
    return ok({ name: bucket });
  }
  if (route.startsWith("DELETE /storage/kv/namespaces/")) {
    platform.namespaces = platform.namespaces.filter(({ id }) => !route.endsWith(id));
    return ok({});
  }
  switch (route) {
    case "GET /r2/buckets":
      return ok({ buckets: platform.buckets.map((name) => ({ name })) });
    case "POST /r2/buckets":
      platform.buckets.push(json().name);
      return ok(json());
    case "GET /storage/kv/namespaces":
      return ok(platform.namespaces);
    case "POST /storage/kv/namespaces": {
      const namespace = { id: "0".repeat(32), title: json().title };
      platform.namespaces.push(namespace);
      return ok(namespace);
    }
    case "PUT /workers/scripts/portolan":
      platform.worker = await uploadIn(body, type, worker);
      if (platform.worker === null) return { status: 400, code: 10021, result: null };
      return ok({ id: "portolan", etag: "e", deployment_id: "d", startup_time_ms: 1, tag: "t" });
    case "POST /workers/scripts/portolan/domains/changeset":
      return ok({ added: json(), updated: [], removed: [], conflicting: [] });
    case "PUT /workers/scripts/portolan/domains/records":
      platform.domains = json().origins.map(({ hostname }: { hostname: string }) => hostname);
      return ok({});
    case "PUT /workers/scripts/portolan/schedules":
      platform.crons = json().map(({ cron }: { cron: string }) => cron);
      return ok({ schedules: [] });
    case "DELETE /workers/services/portolan":
      platform.worker = null;
      return ok({});
    case "GET /user":
      return ok({ email: "owner@example.com" });
  }
  if (!/\/workers\/(scripts|services|workers)\/portolan/.test(route)) return ok([]);
  if (worker === null) return absent(10007);
  if (route.endsWith("/secrets")) return ok(worker.bindings.filter(({ type }) => type === SECRET));
  if (route.endsWith("/settings")) return ok({ bindings: worker.bindings, migration_tag: "v1" });
  if (route.endsWith("/deployments")) return ok({ deployments: [], items: [], latest: {} });
  if (route.endsWith("/subdomain")) return ok({ enabled: false, previews_enabled: false });
  if (route.includes("/workers/workers/"))
    return ok({ id: "portolan", subdomain: { enabled: false, previews_enabled: false } });
  if (route.includes("/workers/services/"))
    return ok({ default_environment: { script: { last_deployed_from: "wrangler" } } });
  return ok([]);
}

/**
 * The metadata of an upload. Secrets that it doesn't have stay, and what is inherited is as it was.
 * @returns null if the module that it starts with isn't part of the upload
 */
async function uploadIn(body: Buffer, type: string, before: Upload | null): Promise<Upload | null> {
  const form = await new Response(new Uint8Array(body), { headers: { "Content-Type": type } }).formData();
  const metadata = form.get("metadata");
  const text = metadata instanceof File ? await metadata.text() : String(metadata);
  const { bindings, migrations, main_module: main } = JSON.parse(text) as Upload & { main_module: string };
  const code = form.get(main);
  if (!(code instanceof File) || code.type !== "application/javascript+module") return null;
  const former = before?.bindings ?? [];
  const named = new Set(bindings.map(({ name }) => name));
  return {
    bindings: [
      ...bindings.map((binding) =>
        binding.type === "inherit" ? (former.find(({ name }) => name === binding.name) ?? binding) : binding,
      ),
      ...former.filter(({ name, type }) => type === SECRET && !named.has(name)),
    ],
    ...(migrations ? { migrations } : {}),
  };
}
