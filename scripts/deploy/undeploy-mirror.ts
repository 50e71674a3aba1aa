/** The removal of a deployed mirror, and of what it has stored. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parse } from "smol-toml";
import * as v from "valibot";
import { parseJson } from "../../src/oci/json.ts";
import type { Output } from "../terminal/output.ts";
import type { Wrangler } from "./wrangler.ts";

export interface UndeploySettings {
  config?: string;
  env?: string;
  /** Whether the bucket and the namespace are deleted too. */
  content: boolean;
}

export interface UndeployTools {
  wrangler: Wrangler;
  output: Output;
  cwd: string;
  /** Deletes every object of the mirror's store, through the mirror. */
  empty(): Promise<void>;
}

const Resources = v.object({
  name: v.string(),
  r2_buckets: v.optional(v.array(v.object({ binding: v.string(), bucket_name: v.optional(v.string()) })), []),
  kv_namespaces: v.optional(v.array(v.object({ binding: v.string(), id: v.optional(v.string()) })), []),
});
type Resources = v.InferOutput<typeof Resources>;
const Namespaces = v.array(v.object({ id: v.string(), title: v.string() }));

/**
 * Empties the store while the mirror is there to do it, then deletes the Worker with its Durable Objects, then what is empty.
 * @returns the exit code of what failed, or 0.
 * @throws Error if the configuration can't be read.
 */
export async function undeploy(settings: UndeploySettings, tools: UndeployTools): Promise<number> {
  const { wrangler, output, cwd } = tools;
  const target = Object.entries({ config: settings.config, env: settings.env }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const text = await readFile(resolve(cwd, settings.config ?? "wrangler.toml"), "utf8");
  const resources = v.parse(Resources, parse(text));
  if (settings.content) await tools.empty();
  const { code } = await wrangler.run(["delete", "--force", ...target]);
  if (code !== 0) return code;
  if (settings.content) return deleteContent(resources, tools);
  output.line(
    `What it has stored is left: ${contentOf(resources)}. Delete it in the dashboard, where it must be emptied first.`,
  );
  return 0;
}

async function deleteContent(resources: Resources, { wrangler, output }: UndeployTools): Promise<number> {
  let worst = 0;
  for (const bucket of bucketsOf(resources)) {
    const { code } = await wrangler.run(["r2", "bucket", "delete", bucket]);
    if (code !== 0) {
      output.errorLine(
        `The bucket ${bucket} isn't deleted. If it isn't empty, empty it in the dashboard (R2, the bucket, Settings), then: npx wrangler r2 bucket delete ${bucket}`,
      );
      worst = code;
    }
  }
  const listed = await wrangler.run(["kv", "namespace", "list"], { isKept: true });
  const found = parseJson(Namespaces, listed.output) ?? [];
  for (const { binding, id } of resources.kv_namespaces) {
    const title = titleOf(resources, binding);
    const namespace = id ?? found.find((each) => each.title === title)?.id;
    if (namespace === undefined) {
      output.errorLine(`No namespace is named ${title}: it may be gone already.`);
      continue;
    }
    const { code } = await wrangler.run([
      ...["kv", "namespace", "delete", "--namespace-id", namespace, "--skip-confirmation"],
    ]);
    if (code !== 0) worst = code;
  }
  return worst;
}

function bucketsOf({ name, r2_buckets }: Resources): string[] {
  return r2_buckets.map(({ binding, bucket_name = `${name}-${binding.toLowerCase()}` }) => bucket_name);
}

/** As Wrangler names what it creates for a binding. */
function titleOf({ name }: Resources, binding: string): string {
  return `${name}-${binding.toLowerCase()}`;
}

function contentOf(resources: Resources): string {
  const namespaces = resources.kv_namespaces.map(({ binding }) => titleOf(resources, binding));
  return [
    ...bucketsOf(resources).map((bucket) => `the bucket ${bucket}`),
    ...namespaces.map((title) => `the namespace ${title}`),
  ].join(", ");
}
