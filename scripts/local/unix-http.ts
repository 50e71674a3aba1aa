/** HTTP over a Unix domain socket. */
import { once } from "node:events";
import { createServer, type RequestListener, request, type Server } from "node:http";

/** Listens, without a time limit on requests. */
export async function listenAt(path: string, listener: RequestListener): Promise<Server> {
  const server = createServer({ requestTimeout: 0 }, listener).listen(path);
  await once(server, "listening");
  return server;
}

/** Sends a POST, and waits for the response. @throws Error if its status isn't 204. */
export async function postTo(socketPath: string, path: string, body = ""): Promise<void> {
  const status = await new Promise<number>((resolve, reject) => {
    request({ socketPath, path, method: "POST" }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    })
      .once("error", reject)
      .end(body);
  });
  if (status !== 204) throw new Error(`the runtime answered ${status}`);
}
