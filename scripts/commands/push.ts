/** `portolan push`: an image of this machine into a hosted repository of a mirror, in requests that a proxy's limit lets through. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { formatLocation } from "../archive/location.ts";
import type { Copied } from "../copy/copier.ts";
import { copiedLine, parallelOption } from "../copy/copy-report.ts";
import { type PushPlan, planPush } from "../push/push-plan.ts";
import type { RegistryClient } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { shortDigest, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  mirrorOption,
  ownMirror,
  type Session,
  withSession,
} from "./options.ts";
import { type PlatformSettings, wantedPlatform, withPlatforms } from "./platforms.ts";

interface Settings extends CommonSettings, PlatformSettings {
  mirror?: string;
  keyFile?: string;
  maxBody: number;
  parallel: number;
}

export const push = (context: Context): Command =>
  withPlatforms(
    commandNamed("push", [
      "push myapp:1.0 https://mirror.example.com/hosted/team/myapp:1.0 --key-file key",
      "push myapp:1.0 hosted/team/myapp:1.0 --mirror https://mirror.example.com",
      "push mirror.example.com/hosted/team/myapp:1.0",
      "push oci:layout:1.0 hosted/team/myapp --all-platforms",
    ])
      .argument("<image>", "the image in Docker, or one of the locations below")
      .argument("[target]", "where to; left out, where the image's own name says, or hosted/ and that name")
      .addOption(mirrorOption())
      .option("--key-file <file>", "the file with an access key of the target (default: its login)")
      .addOption(maxBodyOption()),
  )
    .addOption(parallelOption())
    .addHelpText(
      "after",
      `
Besides a name in Docker or podman, an image can be one of these:
  oci:DIR[:TAG]                    an OCI image layout in a folder
  oci-archive:FILE[:TAG]           the same as a tar
  docker-archive:FILE[:IMAGE:TAG]  what docker save writes

Docker's API is spoken to at /var/run/docker.sock, or podman's where there is no Docker; DOCKER_HOST=unix://… names another socket.
Exits with 0 if the target has the image, with 1 if it couldn't be pushed, with 2 if the command is wrong.`,
    )
    .action((image: string, target: string | undefined, settings: Settings) => {
      return withSession(context, settings, async (session) => {
        const platform = wantedPlatform(settings);
        const plan = planPush(image, target ?? null, settings.mirror ?? ownMirror(context));
        const { progress } = session;
        const client = await clientFor(plan, settings, session, context);
        const named = { source: formatLocation(plan.source), target: plan.name };
        let pushed: Copied;
        try {
          progress.say(`${named.source} → ${named.target}`);
          pushed = await progress.during(
            named.target,
            pushImage({ ...plan, platform }, settings, { ...session, client }, context),
          );
        } catch (error) {
          progress.stop();
          const message = messageOf(error) + adviceOn(error);
          if (settings.json) context.output.json({ state: "failed", ...named, error: message });
          else context.output.failure(message);
          return EXIT.bad;
        }
        progress.stop();
        if (settings.json)
          context.output.json({ state: pushed.unchanged ? "unchanged" : "pushed", ...named, ...pushed });
        else context.output.report((found) => copiedLine(named.target, found, "pushed"), pushed);
        return EXIT.good;
      });
    });

/** The session's client, with the key of `--key-file` as the target's login. */
async function clientFor(
  { remote }: PushPlan,
  { keyFile, insecure = false }: Settings,
  { client, logins, network }: Session,
  { cwd, wait }: Context,
): Promise<RegistryClient> {
  if (keyFile === undefined) return client;
  const [{ loginsWithKey }, { RegistryClient }] = await Promise.all([
    import("../push/push-key.ts"),
    import("../registry/client.ts"),
  ]);
  const keyed = await loginsWithKey(remote.loginName, keyFile, cwd, logins);
  return new RegistryClient({ network, logins: keyed, insecure, wait });
}

function adviceOn(error: unknown): string {
  return error instanceof RegistryFailure && error.status === 413
    ? "; or push with a smaller --max-body"
    : "";
}

async function pushImage(
  { source, remote, tag, platform }: PushPlan & { platform: string | null },
  { parallel, maxBody }: Settings,
  { client, progress }: Session,
  { env, cwd }: Context,
): Promise<Copied> {
  // Loaded here: `--help` needs none of it.
  const [{ openSource }, { Registries }, { Copier }, { writable }, { UploadFiles, uploadsFolder }] =
    await Promise.all([
      import("../archive/open.ts"),
      import("../copy/registry-io.ts"),
      import("../copy/copier.ts"),
      import("../registry/client.ts"),
      import("../registry/upload-records.ts"),
    ]);
  const registries = new Registries(client, {
    limit: maxBody,
    mountsFromAny: true,
    records: new UploadFiles(uploadsFolder(env)),
    onResumed: (blob, offset) =>
      progress.say(`${shortDigest(blob.digest)} goes on after ${size(offset)} of ${size(blob.size)}`),
  });
  const place = writable(remote);
  // First, because Docker may take a minute to give its image.
  await registries.uploader.checkAccess(place);
  const opened = await openSource(source, { registries, env, cwd, compress: true });
  try {
    const target = registries.target(place);
    const job = { source: opened.source, target, tag, platform, referrers: false };
    return await new Copier({ progress, parallel }).copy(job);
  } finally {
    await opened.close();
  }
}

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };

/** From the smallest body that is worth a request to what Cloudflare lets its largest customers' requests have. */
function maxBodyOption(): Option {
  return new Option(
    "--max-body <size>",
    "the largest request body, which the target's proxy must let through",
  )
    .default(90_000_000, "90 MB")
    .argParser((text) => {
      const [, number, unit = "B"] = /^(\d{1,9}) ?([kMG]?B)?$/.exec(text) ?? [];
      const bytes = Number(number) * (UNITS[unit] ?? 1);
      if (bytes >= 1_000_000 && bytes <= 5_000_000_000) return bytes;
      throw new InvalidArgumentError("It must be from 1 MB to 5 GB.");
    });
}
