/** containerd's config.toml as it is on a machine: which table `config_path` belongs in, and when it must not be written. */
import { glob, readdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import { CERTIFICATES, CONFIG_TOML } from "../../src/guides/clients/containerd.ts";
import { type GuideFile, toml } from "../../src/guides/guide.ts";
import { hasCode, readIfThere } from "../files.ts";
import { UnsafeChange } from "./merge/unsafe.ts";
import { isTable } from "./merge/values.ts";
import { located } from "./write-file.ts";

/** By the file's `version`; containerd converts older ones itself, and ignores the tables of older ones in a newer file. */
const PLUGINS = new Map([
  [1, "cri"],
  [2, "io.containerd.grpc.v1.cri"],
  [3, "io.containerd.cri.v1.images"],
  [4, "io.containerd.cri.v1.images"],
]);

/** A file of containerd's configuration: config.toml, or one that it imports. */
interface ConfigFile {
  /** On the machine that it configures. */
  path: string;
  settings: Record<string, unknown>;
  plugin: string;
  registry: Record<string, unknown>;
}

/**
 * The guide's files for the configuration that is there: its version is kept, and if it names a folder of its own for
 * hosts.toml, that is where they go.
 * @throws UnsafeChange if containerd, or its plugin for Kubernetes, wouldn't start with the change
 */
export async function forConfigToml(files: readonly GuideFile[], root: string): Promise<GuideFile[]> {
  const main = await readConfigFile(CONFIG_TOML, root);
  // What can't be read is refused where it is merged.
  if (main === null) return [...files];
  const all = [main, ...(await importedBy(main, root))];
  for (const { settings, registry, path } of all) {
    refuseDisabled(settings.disabled_plugins, path);
    refuseMirrors(registry, path);
  }
  // containerd 1 takes a plugin's settings from the last file that has any, and from no other.
  const target =
    all.findLast(({ settings, plugin }) => hasEntries(tableAt(settings, "plugins", plugin))) ?? main;
  const source = all.findLast(({ registry }) => registry.config_path !== undefined) ?? target;
  const folder = await folderOf(source.registry.config_path, source.path, root);
  return files.map((file) => {
    if (file.path === CONFIG_TOML) {
      const { path, plugin } = target;
      return toml(path, { plugins: { [plugin]: { registry: { config_path: folder } } } });
    }
    return { ...file, path: file.path.replace(CERTIFICATES, folder) };
  });
}

/** @returns null if it says nothing, or can't be read */
async function readConfigFile(path: string, root: string): Promise<ConfigFile | null> {
  const text = await readIfThere(await located(path, root));
  const settings = text === null ? null : read(text);
  if (settings === null || !hasEntries(settings)) return null;
  const plugin = PLUGINS.get(Number(settings.version ?? 1));
  if (plugin === undefined)
    throw refusal(path, `its version is ${settings.version}, which isn't known here.`);
  return { path, settings, plugin, registry: tableAt(settings, "plugins", plugin, "registry") };
}

async function importedBy({ settings }: ConfigFile, root: string): Promise<ConfigFile[]> {
  const patterns = Array.isArray(settings.imports) ? settings.imports.map(String) : [];
  const found: ConfigFile[] = [];
  for (const pattern of patterns) {
    const places: string[] = [];
    for await (const place of glob(resolve(dirname(CONFIG_TOML), pattern).slice(1), { cwd: root }))
      places.push(place);
    for (const place of places.sort()) {
      const file = await readConfigFile(`/${place}`, root);
      if (file !== null) found.push(file);
    }
  }
  return found;
}

function hasEntries(table: Record<string, unknown>): boolean {
  return Object.keys(table).length > 0;
}

function read(text: string): Record<string, unknown> | null {
  try {
    return parse(text.replace(/^\uFEFF/, ""), { integersAsBigInt: "asNeeded" });
  } catch {
    return null;
  }
}

function refuseDisabled(disabled: unknown, path: string): void {
  const names = Array.isArray(disabled) ? disabled.map(String) : [];
  const found = names.find((name) => /^cri$|^io\.containerd\.(grpc\.v1\.cri|cri\.v1\.\w+)$/.test(name));
  if (found === undefined) return;
  throw refusal(
    path,
    `disabled_plugins has "${found}", so this containerd has no plugin for Kubernetes that would use the mirror. If it serves Docker only, as Docker's packages set it up, configure \`docker\` or \`docker-containerd\` instead. If it is to serve Kubernetes, remove "${found}" from disabled_plugins first.`,
  );
}

function refuseMirrors(registry: Record<string, unknown>, path: string): void {
  const mirrors = Object.keys(tableAt(registry, "mirrors"));
  const configs = tableAt(registry, "configs");
  const withTls = Object.keys(configs).filter((host) => "tls" in tableAt(configs, host));
  if (mirrors.length === 0 && withTls.length === 0) return;
  const what = [
    ...(mirrors.length > 0 ? [`registry.mirrors for ${mirrors.join(", ")}`] : []),
    ...(withTls.length > 0 ? [`TLS settings in registry.configs for ${withTls.join(", ")}`] : []),
  ].join(" and ");
  throw refusal(
    path,
    `it has ${what}, and containerd's plugin for Kubernetes doesn't start with those beside config_path. Write each of them as ${CERTIFICATES}/NAME/hosts.toml, remove them from this file, and run this again.`,
  );
}

/** containerd 2.2 reads a list of folders as the name of one, so that hosts.toml is never found: a list becomes one folder. */
async function folderOf(configured: unknown, path: string, root: string): Promise<string> {
  const folders = typeof configured === "string" ? configured.split(":").filter((each) => each !== "") : [];
  const folder = folders.includes(CERTIFICATES) ? CERTIFICATES : (folders[0] ?? CERTIFICATES);
  for (const other of folders.filter((each) => each !== folder)) {
    if (await isEmpty(await located(other, root))) continue;
    throw refusal(
      path,
      `config_path is "${configured}", and some versions of containerd find no hosts.toml if it names more than one folder. Move what is in ${other} to ${folder}, set config_path = "${folder}", and run this again.`,
    );
  }
  return folder;
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return true;
    throw error;
  }
}

function tableAt(table: unknown, ...path: readonly string[]): Record<string, unknown> {
  let found = table;
  for (const key of path) found = isTable(found) && Object.hasOwn(found, key) ? found[key] : {};
  return isTable(found) ? found : {};
}

function refusal(path: string, reason: string): UnsafeChange {
  return new UnsafeChange(`${path}: ${reason} Nothing was written.`);
}
