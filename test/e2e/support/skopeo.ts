// skopeo copying into an OCI layout on disk. It starts no containers, so its content is looked at file by file.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Layout, readLayout } from "./layout.ts";
import { CLIENT_DEADLINE, isolated, run, workspace } from "./process.ts";

export interface Skopeo {
  /**
   * @param all every platform with its index, not only this machine's
   * @param more options of `skopeo copy`
   */
  copy(reference: string, all: boolean, more?: readonly string[]): Promise<Layout>;
  clean(): Promise<void>;
  stop(): Promise<void>;
}

/** @param registriesConf the text of registries.conf */
export async function startSkopeo(registriesConf: string): Promise<Skopeo> {
  const { folder, hosts, remove } = await workspace("skopeo");
  const config = join(folder, "registries.conf");
  const layout = join(folder, "layout");
  await writeFile(config, registriesConf);
  return {
    copy: async (reference, all, more = []) => {
      const options = ["--registries-conf", config, "--insecure-policy"];
      const platforms = all ? ["--all"] : ["--override-os", "linux", "--override-arch", "amd64"];
      const [globals, locals] = all ? [[], platforms] : [platforms, []];
      await run(
        isolated(hosts, [
          ...["skopeo", ...options, ...globals, "copy", "--quiet", ...locals, ...more],
          ...[`docker://${reference}`, `oci:${layout}:copied`],
        ]),
        { deadline: CLIENT_DEADLINE, environment: { HOME: join(folder, "home") } },
      );
      return readLayout(layout);
    },
    clean: () => rm(layout, { recursive: true, force: true }),
    stop: remove,
  };
}
