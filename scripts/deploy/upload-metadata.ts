/** What an upload by Cloudflare's API has beside the one file: the bindings of wrangler.toml, and the Durable Object classes to create. */
import * as v from "valibot";

/** The namespace's id, which its owner puts there. */
const NAMESPACE_ID = "YOUR-NAMESPACE-ID";
export const MODULE = "portolan.js";

/** The parts of wrangler.toml that an upload consists of. */
const File = v.object({
  compatibility_date: v.string(),
  compatibility_flags: v.optional(v.array(v.string()), []),
  r2_buckets: v.array(v.object({ binding: v.string(), bucket_name: v.string() })),
  kv_namespaces: v.array(v.object({ binding: v.string(), id: v.optional(v.string(), NAMESPACE_ID) })),
  durable_objects: v.object({ bindings: v.array(v.object({ name: v.string(), class_name: v.string() })) }),
  migrations: v.array(v.object({ tag: v.string(), new_sqlite_classes: v.array(v.string()) })),
  ratelimits: v.array(
    v.object({
      name: v.string(),
      namespace_id: v.string(),
      simple: v.object({ limit: v.number(), period: v.number() }),
    }),
  ),
  version_metadata: v.object({ binding: v.string() }),
  observability: v.looseObject({}),
});

/**
 * The part `metadata` of an upload (`PUT /accounts/ID/workers/scripts/NAME`) that creates the Worker. It is closed: the only
 * variable is ACCESS.
 * @param wranglerFile wrangler.toml, parsed.
 */
export function uploadMetadata(wranglerFile: unknown) {
  const file = v.parse(File, wranglerFile);
  return {
    main_module: MODULE,
    compatibility_date: file.compatibility_date,
    compatibility_flags: file.compatibility_flags,
    keep_bindings: ["secret_text", "secret_key"],
    bindings: [
      { type: "plain_text", name: "ACCESS", text: "keys" },
      ...file.r2_buckets.map(({ binding, bucket_name }) => ({
        type: "r2_bucket",
        name: binding,
        bucket_name,
      })),
      ...file.kv_namespaces.map(({ binding, id }) => ({
        type: "kv_namespace",
        name: binding,
        namespace_id: id,
      })),
      ...file.durable_objects.bindings.map((binding) => ({ type: "durable_object_namespace", ...binding })),
      ...file.ratelimits.map((binding) => ({ type: "ratelimit", ...binding })),
      { type: "version_metadata", name: file.version_metadata.binding },
    ],
    migrations: {
      new_tag: file.migrations.at(-1)?.tag,
      steps: file.migrations.map(({ new_sqlite_classes }) => ({ new_sqlite_classes })),
    },
    observability: file.observability,
  };
}
