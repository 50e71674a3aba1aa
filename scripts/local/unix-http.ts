/** HTTP over a Unix domain socket. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from "node:http";
import { text } from "node:stream/consumers";

/** Listens, without a time limit on requests. */
export async function listenAt(path: string, listener: RequestListener): Promise<Server> {
  const server = createServer({ requestTimeout: 0 }, listener).listen(path);
  await once(server, "listening");
  return server;
}

/** Sends a POST, and waits for the response. @returns its body. @throws Error if its status isn't 200 or 204. */
export async function postTo(socketPath: string, path: string, body = ""): Promise<string> {
  const sent = request({ socketPath, path, method: "POST" }).end(body);
  const [response]: IncomingMessage[] = await once(sent, "response");
  if (!response) throw new Error("the runtime didn't answer");
  const received = await text(response);
  const { statusCode } = response;
  if (statusCode !== 200 && statusCode !== 204) throw new Error(`the runtime answered ${statusCode}`);
  return received;
}

/** Whether an error of `postTo` means that the process at the other end isn't there, or has ended meanwhile. */
export function isDisconnected(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return ["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE"].includes(String(code));
}
