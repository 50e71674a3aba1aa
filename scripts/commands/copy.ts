/** `portolan copy`: an image from one place to another: registries, layouts, archives and Docker. */
import type { Command } from "commander";
import { formatLocation, type Location, parseLocation } from "../archive/location.ts";
import { completeSource, nameTarget } from "../archive/names.ts";
import type { Copied } from "../copy/copier.ts";
import { copiedLine, parallelOption } from "../copy/copy-report.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  OWN_PLATFORM,
  type Session,
  withSession,
} from "./options.ts";
import { type PlatformSettings, wantedPlatform, withPlatforms } from "./platforms.ts";

interface Settings extends CommonSettings, PlatformSettings {
  referrers?: boolean;
  parallel: number;
}

export const copy = (context: Context): Command =>
  withPlatforms(
    commandNamed("copy", [
      "copy alpine:3.20 registry.example.com/library/alpine --all-platforms",
      "copy ghcr.io/owner/image:1.0 127.0.0.1:5000/owner/image:1.0 --platform linux/arm64",
      "copy quay.io/owner/image@sha256:… registry.example.com/owner/image:stable --all-platforms --referrers",
      "copy ghcr.io/owner/image:1.0 oci-archive:image.tar --all-platforms",
      "copy docker-daemon:image:1.0 registry.example.com/owner/image",
    ])
      .argument("<source>", "the image, as in docker pull, or one of the locations below")
      .argument("<target>", "where to; without a tag it gets the source's"),
  )
    .option("--referrers", "signatures, SBOMs and whatever else refers to the image, too")
    .addOption(parallelOption())
    .addHelpText(
      "after",
      `
Besides registries, with the names that skopeo has for them:
  oci:DIR[:TAG]                    an OCI image layout in a folder
  oci-archive:FILE[:TAG]           the same as a tar
  docker-archive:FILE[:IMAGE:TAG]  what docker save writes and docker load reads
  docker-daemon:IMAGE:TAG          the Docker of this machine, at /var/run/docker.sock or DOCKER_HOST=unix://…

Logins are those of docker login or podman login. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are honoured.
Exits with 0 if the target has the image, with 1 if it couldn't be copied, with 2 if the command is wrong.`,
    )
    .action((from: string, to: string, settings: Settings) => {
      return withSession(context, settings, async (session) => {
        const platform = wantedPlatform(settings);
        const source = completeSource(parseLocation(from));
        const { location: target, ...names } = nameTarget(source, parseLocation(to));
        if (settings.referrers && /^docker-/.test(target.kind)) {
          throw new Error(`${target.kind}: can't hold what refers to an image; leave out --referrers`);
        }
        const { progress } = session;
        const named = { source: formatLocation(source), target: formatLocation(target) };
        let copied: Copied;
        try {
          progress.say(`${named.source} → ${named.target}`);
          const work = copyBetween({ source, target, platform, ...names }, settings, session, context);
          copied = await progress.during(named.target, work);
        } catch (error) {
          progress.stop();
          if (settings.json) context.output.json({ state: "failed", ...named, error: messageOf(error) });
          else context.output.failure(messageOf(error));
          return EXIT.bad;
        }
        progress.stop();
        if (settings.json)
          context.output.json({ state: copied.unchanged ? "unchanged" : "copied", ...named, ...copied });
        else context.output.report((found) => copiedLine(named.target, found), copied);
        return EXIT.good;
      });
    });

type Copy = { source: Location; target: Location; platform: string | null } & Omit<
  ReturnType<typeof nameTarget>,
  "location"
>;

async function copyBetween(
  { source, target, tag, reference, platform }: Copy,
  { referrers = false, parallel }: Settings,
  { client, progress }: Session,
  { env, cwd }: Context,
): Promise<Copied> {
  // Loaded here: `--help` needs none of it.
  const [{ openSource, openTarget }, { Registries }, { Copier }] = await Promise.all([
    import("../archive/open.ts"),
    import("../copy/registry-io.ts"),
    import("../copy/copier.ts"),
  ]);
  const options = { registries: new Registries(client), env, cwd };
  // Docker keeps layers as they are in a pull, decompressed: only elsewhere is compression of use.
  const opened = await openSource(source, { ...options, compress: !/^docker-/.test(target.kind) });
  try {
    const into = await openTarget(target, reference, { ...options, platform: OWN_PLATFORM });
    try {
      const copier = new Copier({ progress, parallel });
      const job = { source: opened.source, target: into.target, tag, platform, referrers };
      const copied = await copier.copy(job);
      await into.commit();
      return copied;
    } finally {
      await into.discard();
    }
  } finally {
    await opened.close();
  }
}
