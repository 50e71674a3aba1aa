/** HTTP over a socket with a path. */
import { once } from "node:events";
import { createServer, type RequestListener, request, type Server } from "node:http";

/** Listens; what is sent to it may take as long as it takes. */
export async function listenAt(path: string, listener: RequestListener): Promise<Server> {
  const server = createServer({ requestTimeout: 0 }, listener).listen(path);
  await once(server, "listening");
  return server;
}

/** Posts nothing, and waits for the answer. @throws Error if it isn't a good one. */
export async function postTo(socketPath: string, path: string): Promise<void> {
  const status = await new Promise<number>((resolve, reject) => {
    request({ socketPath, path, method: "POST" }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    })
      .once("error", reject)
      .end();
  });
  if (status !== 204) throw new Error(`the runtime answered ${status}`);
}
