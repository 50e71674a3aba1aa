// Stands between a client and the mirror, forwards every byte, and records everything that the client sends
// to the mirror.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface Recorder {
  url: string;
  /** All that clients have sent, in the order in which it came. */
  sent(): string;
  /** Forwards new connections to another target. @param target base URL */
  leadTo(target: string): void;
  stop(): Promise<void>;
}

export async function startRecorder(target: string): Promise<Recorder> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  let to = new URL(target);
  const server = createServer((client) => {
    const mirror = connect(Number(to.port), to.hostname);
    for (const socket of [client, mirror]) {
      sockets.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        client.destroy();
        mirror.destroy();
      });
      socket.once("error", () => socket.destroy());
    }
    client.on("data", (chunk: Buffer) => chunks.push(chunk));
    client.pipe(mirror).pipe(client);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    sent: () => Buffer.concat(chunks).toString("latin1"),
    leadTo: (target) => {
      to = new URL(target);
      // What is kept alive would still lead to the old one.
      for (const socket of sockets) socket.destroy();
    },
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
