/** Requests as bytes, for what no HTTP client would send. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { DEADLINE, within } from "./deadline.ts";

/** Sends raw bytes, and returns everything received until either side closes the connection. */
export async function exchange(url: string, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  let received = "";
  socket.on("data", (data) => {
    received += data.toString("latin1");
  });
  await once(socket, "connect");
  socket.write(bytes);
  const closed = once(socket, "close");
  // A connection that is still open has sent its whole response by then.
  const idle = sleep(1_500).then(() => socket.end());
  await within("the mirror to respond, or to end the connection", DEADLINE, Promise.race([closed, idle]));
  socket.destroy();
  return received;
}

export function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}

export function get(target: string, ...lines: string[]): string {
  return [`GET ${target} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n");
}

export function singleRequest(target: string): string {
  return get(target, "Connection: close");
}
