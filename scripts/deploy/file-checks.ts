/** What in wrangler.toml would harm the mirror once it is deployed. */
import { resolve } from "node:path";
import { parse } from "smol-toml";
import * as v from "valibot";
import { readIfThere } from "../files.ts";

const Switch = v.optional(v.object({ enabled: v.optional(v.boolean()) }));
const File = v.object({
  name: v.string(),
  r2_buckets: v.optional(v.array(v.object({ bucket_name: v.optional(v.string()) })), []),
  cache: Switch,
  exports: v.optional(v.object({ default: v.optional(v.object({ cache: Switch })) })),
});

/**
 * @param name as Wrangler's --name.
 * @throws Error that says what to change.
 */
export async function checkFile(
  cwd: string,
  { name, config = "wrangler.toml" }: { name?: string | undefined; config?: string | undefined },
): Promise<void> {
  const text = await readIfThere(resolve(cwd, config));
  const parsed = text === null ? null : v.safeParse(File, parse(text));
  if (!parsed?.success) return;
  const { output: file } = parsed;
  // Its key has no Authorization: it would give everyone what the holder of a key has pulled.
  if (file.cache?.enabled && file.exports?.default?.cache?.enabled !== false) {
    throw new Error(
      `[cache] in ${config} would cache responses in front of access control: add [exports.default] with type = "worker" and cache = { enabled = false }`,
    );
  }
  const bucket = file.r2_buckets.find(({ bucket_name }) => bucket_name !== undefined)?.bucket_name;
  if (name === undefined || name === file.name || bucket === undefined) return;
  throw new Error(
    `--name ${name} would share the bucket ${bucket} with ${file.name}, and each would delete the other's content: change name and bucket_name in ${config} instead`,
  );
}
