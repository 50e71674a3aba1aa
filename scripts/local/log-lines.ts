/** What a mirror on this machine logs, as lines for a terminal: text from clients and upstreams is sanitized. */
import type { FillRecord } from "../../src/fill-log.ts";
import type { RequestRecord } from "../../src/request-log.ts";
import { cleaned, cleanJson } from "../terminal/clean.ts";
import { bad, warning } from "../terminal/colours.ts";
import { shortDigest, size } from "../terminal/format.ts";
import type { Message } from "./runtime.ts";

/**
 * `12:31:05 GET  200 store       1.2 kB     3 ms  docker.io/library/alpine:latest by laptop`, and for a failure its upstream and
 * the reason. What varies in length is last, so that the columns stay aligned.
 */
export function requestLine(record: RequestRecord): string {
  const { method, upstream, status, servedBy, key, bytes, ms, reason } = cleaned(record);
  const by = key === null ? "" : ` by ${key}`;
  const request = `${method.padEnd(4)} ${coloured(status)}`;
  const line = `${columns(request, servedBy, bytes, ms)}  ${subject(cleaned(record))}${by}`;
  return reason === null ? line : `${line} ${[upstream, reason].filter((part) => part !== null).join(": ")}`;
}

/**
 * `12:31:06          stored      3.4 MB   812 ms  docker.io/library/alpine@sha256:1a2b3c4d5e6f at 4.2 MB/s`, under the lines of
 * requests: the time is until the whole blob was stored.
 */
export function filledLine(record: FillRecord): string {
  const { upstream, repository, digest, bytes, ms } = cleaned(record);
  const speed = size(bytes / (Math.max(ms, 1) / 1000));
  const name = `${upstream}/${repository}@${shortDigest(digest)}`;
  return `${columns(" ".repeat(8), "stored", bytes, ms)}  ${name} at ${speed}/s`;
}

/** @param request eight characters. */
function columns(request: string, servedBy: string | null, bytes: number | null, ms: number): string {
  return [
    new Date().toTimeString().slice(0, 8),
    request,
    (servedBy ?? "-").padEnd(8),
    (bytes === null ? "-" : size(bytes)).padStart(9),
    `${ms} ms`.padStart(8),
  ].join(" ");
}

/** A manifest or blob with its registry's name, its digest shortened; the path of any other request. */
function subject({ path, upstream, repository, resource }: RequestRecord): string {
  const last = /\/(?:manifests|blobs)\/([^/?]+)(?:\?.*)?$/.exec(path)?.[1];
  if (last === undefined || !upstream || !repository) return path;
  const name = `${upstream}/${repository}`;
  if (last.includes(":")) return `${name}@${shortDigest(last)}`;
  return resource === "manifest" ? `${name}:${last}` : path;
}

function coloured(status: number): string {
  if (status >= 500) return bad(String(status));
  return status >= 400 ? warning(String(status)) : String(status);
}

/** The record as a line of JSON, with the time at which it was logged in front. */
export function recordJson(record: RequestRecord | FillRecord): string {
  return cleanJson({ time: new Date().toISOString(), ...record }, 0);
}

export function isRoutine({ level }: Message): boolean {
  return level === "log" || level === "info";
}

/** Its first line: the rest is a stack trace. */
export function messageLine(message: Message): string {
  const line = cleaned(message.text.split("\n")[0] ?? "");
  return message.from === "mirror" && !isRoutine(message) ? `Warning: ${line}` : line;
}
