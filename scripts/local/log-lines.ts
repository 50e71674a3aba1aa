/** What a mirror on this machine logs, as lines for a terminal: text from clients and upstreams is sanitized. */
import type { RequestRecord } from "../../src/request-log.ts";
import { cleaned, cleanJson } from "../terminal/clean.ts";
import { size } from "../terminal/format.ts";
import type { Message } from "./runtime.ts";

/** 12:31:05 GET /v2/library/alpine/manifests/latest 200 store 1.2 kB 3 ms, and for a failure its upstream and the reason. */
export function requestLine(record: RequestRecord): string {
  const { method, path, upstream, status, servedBy, bytes, ms, reason } = cleaned(record);
  const time = new Date().toTimeString().slice(0, 8);
  const length = bytes === null ? "-" : size(bytes);
  const line = [time, method, path, status, servedBy ?? "-", length, `${ms} ms`].join(" ");
  return reason === null ? line : `${line} ${[upstream, reason].filter((part) => part !== null).join(": ")}`;
}

/** The record as a line of JSON, with the time at which it was logged in front. */
export function requestJson(record: RequestRecord): string {
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
