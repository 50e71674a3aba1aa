/** `portolan status`: how a mirror is, and what it holds. */
import type { Command } from "commander";
import type { CachedImage, MirrorStatus, StoreAccount } from "../owner-api/responses.ts";
import { good, warning } from "../terminal/colours.ts";
import { count, size, span } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Found {
  mirror: string;
  status: MirrorStatus;
  stored: Stored;
}

interface Stored extends Omit<StoreAccount, "images" | "limit" | "stored"> {
  manifests: number;
  blobs: number;
  images: number;
  /** What leaves first when the limit is met; null if nothing does. */
  leavesFirst: { image: string; alone: number } | null;
}

export const status = (context: Context): Command =>
  ownerCommand("status", ["status", "status --mirror https://mirror.example.com --admin-key-file admin-key"])
    .addHelpText(
      "after",
      "\nExits with 0 if no endpoint is down, with 1 if one is, with 2 if the mirror can't be read.",
    )
    .action((settings: OwnerSettings) =>
      withOwner(context, settings, async (owner, mirror, { progress }) => {
        const reading = Promise.all([owner.status(), owner.store()]);
        const [status, store] = await progress.during("status", reading);
        progress.stop();
        const found = { mirror, status, stored: storedOf(store) };
        if (settings.json) context.output.json(found);
        else context.output.report(report, found);
        return status.endpoints.some(({ downFor }) => downFor > 0) ? EXIT.bad : EXIT.good;
      }),
    );

function storedOf({ limit, stored, images, ...store }: StoreAccount): Stored {
  const objectsOf = (kind: string) =>
    stored.reduce((sum, each) => sum + (each.kind === kind ? each.objects : 0), 0);
  const first = images.find(({ leaves }) => leaves === 1);
  return {
    ...store,
    manifests: objectsOf("manifests"),
    blobs: objectsOf("blobs"),
    images: images.length,
    leavesFirst: first ? { image: nameOf(first), alone: first.alone } : null,
  };
}

function nameOf({ names }: CachedImage): string {
  return names[0]?.name ?? "";
}

/** What is known of when the limit is met, and what leaves then. */
function outlook({ growth, full, pinned, evicted, leavesFirst }: Stored): string[] {
  return [
    ...(full === null ? [] : [`  full      on ${full}, at ${size(growth)} a day`]),
    ...(leavesFirst === null
      ? []
      : [`  first     ${leavesFirst.image} leaves first: ${size(leavesFirst.alone)}`]),
    ...(pinned === 0 ? [] : [`  pinned    ${size(pinned)}`]),
    ...(evicted ? [`  evicted   ${size(evicted)} so far`] : []),
  ];
}

function report({ mirror, status, stored }: Found): string {
  const { started, access, keys, limit, endpoints, relays } = status;
  const share = limit > 0 ? `, ${Math.round((stored.bytes / limit) * 100)}% of ${size(limit)}` : "";
  const missing = [...new Set([...status.missing, ...stored.missing])];
  const holders = keys === null ? "keys" : count(keys, "key");
  const ways = relays.map(
    ({ url, upstreams, when }) => `${url} for ${upstreams.join(", ") || "all upstreams"}, ${when}`,
  );
  return [
    `${mirror}`,
    `  running   for ${span((Date.now() - Date.parse(started)) / 1000)}`,
    `  access    ${access === "open" ? "open" : `for the holders of ${holders}`}`,
    `  stored    ${size(stored.bytes)}${share}: ${count(stored.manifests, "manifest")}, ${count(stored.blobs, "blob")}`,
    ...outlook(stored),
    ...(status.hosted ? hostedLines(status.hosted) : []),
    ...(status.forwarded ? [forwardedLine(status.forwarded)] : []),
    ...quotaLines(status.quotas),
    ...ways.map((way) => `  relay     ${way}`),
    ...(endpoints.length === 0 ? ["  upstream  none was requested since the start"] : []),
    ...endpoints.map(({ url, downFor, limitedFor }) => `  upstream  ${url}  ${stateOf(downFor, limitedFor)}`),
    ...missing.map((part) => `  missing   ${warning(MISSING[part] ?? part)}`),
  ].join("\n");
}

const MISSING: Readonly<Record<string, string>> = {
  ledger: "the ledger can't be read: uses, quotas and what was evicted aren't known",
  hosted: "the records of hosted repositories can't be read",
  keys: "the access keys can't be read",
};

function hostedLines({ repositories, tags, bytes, uploads }: NonNullable<MirrorStatus["hosted"]>): string[] {
  if (repositories + uploads === 0) return [];
  const open = uploads === 0 ? "" : `, ${count(uploads, "upload")} under way`;
  return [`  hosted    ${size(bytes)}: ${count(repositories, "repository")}, ${count(tags, "tag")}${open}`];
}

function forwardedLine(forwarded: NonNullable<MirrorStatus["forwarded"]>): string {
  const { to, blobs, present, manifests, bytes, uploads, failed } = forwarded;
  const sent = `${count(blobs, "blob")} and ${count(manifests, "manifest")} pushed to ${to}`;
  const rest = [
    ...(present === 0 ? [] : [`${count(present, "blob")} there before`]),
    ...(uploads === 0 ? [] : [`${count(uploads, "upload")} under way`]),
    ...(failed === 0 ? [] : [warning(`${count(failed, "request")} failed`)]),
  ];
  return `  gateway   ${[`${size(bytes)}: ${sent}`, ...rest].join(", ")}`;
}

const QUOTAS: Readonly<Record<string, string>> = {
  requests: "requests",
  objectRequests: "requests of Durable Objects",
  kvReads: "reads of KV",
  kvWrites: "writes of KV",
  r2ClassA: "R2 operations of class A",
  r2ClassB: "R2 operations of class B",
};

/** What is used today of the Free plan's quotas, the one first of which most is. */
function quotaLines(quotas: MirrorStatus["quotas"]): string[] {
  if (!quotas) return [];
  const shares = Object.entries(quotas.free)
    .map(([name, free]) => ({ name, free, used: quotas.used[name] ?? 0 }))
    .sort((one, other) => other.used / other.free - one.used / one.free)
    .slice(0, 3)
    .map(({ name, free, used }) => {
      const text = `${Math.round((used / free) * 100)}% of the ${QUOTAS[name] ?? name} that are free`;
      return quotas.tight.includes(name)
        ? warning(`${text}: until the day is over nothing is fetched ahead, and uses aren't recorded`)
        : text;
    });
  return shares.map((text) => `  today     ${text}`);
}

function stateOf(downFor: number, limitedFor: number): string {
  if (downFor > 0) return warning(`down, requested again in ${span(downFor)}`);
  return limitedFor > 0 ? warning(`limits requests for ${span(limitedFor)}`) : good("up");
}
