/** `portolan status`: how a mirror is, and what it holds. */
import type { Command } from "commander";
import type { HeldObject, MirrorStatus } from "../holdings/owner-client.ts";
import { good, warning } from "../terminal/colours.ts";
import { count, size, span } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Found {
  mirror: string;
  status: MirrorStatus;
  stored: { manifests: number; blobs: number; bytes: number };
}

export const status = (context: Context): Command =>
  ownerCommand("status", ["status", "status --mirror https://mirror.example.com --admin-key-file admin-key"])
    .addHelpText(
      "after",
      "\nExits with 0 if no endpoint is down, with 1 if one is, with 2 if the mirror can't be read.",
    )
    .action((settings: OwnerSettings) =>
      withOwner(context, settings, async (owner, mirror, { progress }) => {
        const reading = Promise.all([owner.status(), owner.objects()]);
        const [status, objects] = await progress.during("status", reading);
        progress.stop();
        const found = { mirror, status, stored: storedOf(objects) };
        if (settings.json) context.output.json(found);
        else context.output.report(report, found);
        return status.endpoints.some(({ downFor }) => downFor > 0) ? EXIT.bad : EXIT.good;
      }),
    );

function storedOf(objects: readonly HeldObject[]): Found["stored"] {
  const manifests = objects.filter(({ key }) => /^(private\/)?manifests\//.test(key));
  const bytes = objects.reduce((sum, object) => sum + object.size, 0);
  return { manifests: manifests.length, blobs: objects.length - manifests.length, bytes };
}

function report({ mirror, status, stored }: Found): string {
  const { started, access, keys, limit, endpoints, relays } = status;
  const share = limit > 0 ? `, ${Math.round((stored.bytes / limit) * 100)}% of ${size(limit)}` : "";
  const ways = relays.map(
    ({ url, upstreams, when }) => `${url} for ${upstreams.join(", ") || "all upstreams"}, ${when}`,
  );
  return [
    `${mirror}`,
    `  running   for ${span((Date.now() - Date.parse(started)) / 1000)}`,
    `  access    ${access === "open" ? "open" : `for the holders of ${count(keys, "key")}`}`,
    `  stored    ${size(stored.bytes)}${share}: ${count(stored.manifests, "manifest")}, ${count(stored.blobs, "blob")}`,
    ...ways.map((way) => `  relay     ${way}`),
    ...(endpoints.length === 0 ? ["  upstream  none was requested since the start"] : []),
    ...endpoints.map(({ url, downFor, limitedFor }) => `  upstream  ${url}  ${stateOf(downFor, limitedFor)}`),
  ].join("\n");
}

function stateOf(downFor: number, limitedFor: number): string {
  if (downFor > 0) return warning(`down, requested again in ${span(downFor)}`);
  return limitedFor > 0 ? warning(`limits requests for ${span(limitedFor)}`) : good("up");
}
