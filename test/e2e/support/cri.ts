// The one call of Kubernetes' Container Runtime Interface that pulling an image takes, as the kubelet makes it:
// runtime.v1.ImageService/PullImage, by gRPC over containerd's socket.
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";

/**
 * @param socket path of containerd's socket
 * @returns once the image is there; the error is containerd's own message
 */
export async function criPull(socket: string, reference: string): Promise<void> {
  const session = connect("http://localhost", { createConnection: () => connectSocket(socket) });
  try {
    const call = session.request({
      ":method": "POST",
      ":path": "/runtime.v1.ImageService/PullImage",
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status = "no status";
    const read = (headers: Record<string, unknown>): void => {
      if (headers["grpc-status"] === undefined) return;
      status = headers["grpc-status"] === "0" ? "" : decodeURIComponent(String(headers["grpc-message"]));
    };
    // A call that fails at once has its status among the first headers.
    call.on("response", read).on("trailers", read);
    call.end(framed(pullImageRequest(reference)));
    call.resume();
    await once(call, "close");
    if (status !== "") throw new Error(`containerd: ${status}`);
  } finally {
    session.close();
  }
}

/** PullImageRequest { ImageSpec image = 1 }, ImageSpec { string image = 1 }. */
function pullImageRequest(reference: string): Buffer {
  return lengthDelimited(lengthDelimited(Buffer.from(reference)));
}

/** Field 1 of a protobuf message; 127 bytes at most, whose length is one byte. */
function lengthDelimited(content: Buffer): Buffer {
  if (content.length > 127) throw new Error("too long for this encoding");
  return Buffer.concat([Buffer.from([0x0a, content.length]), content]);
}

/** gRPC's frame: not compressed, length, message. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
