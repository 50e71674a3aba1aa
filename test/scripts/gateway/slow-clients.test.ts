/** Clients of a gateway that send slowly, or not at all: they keep no one else out. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { type Bytes, GatewayClient, openScene, type Scene } from "./support.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene?.close());

/** A body whose sender decides when it continues. */
function slowBody() {
  const { promise, resolve } = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>();
  return { body: new ReadableStream<Uint8Array>({ start: resolve }), sender: promise };
}

test("slow bodies of one client don't keep out another's, and are whole in the end", async () => {
  const slow = new GatewayClient(scene.gateway, "team/slow");
  const sending = await Promise.all(
    Array.from({ length: 7 }, async (_, at) => {
      const { body, sender } = slowBody();
      const controller = await sender;
      controller.enqueue(new Uint8Array(1000).fill(at));
      return { controller, patch: slow.send("PATCH", await slow.open(), { body }), at };
    }),
  );
  await sleep(500);
  const other = new GatewayClient(scene.gateway, "team/other");
  const outcome = await Promise.race([
    other.pushWhole(new Uint8Array(5000) as Bytes).then(({ status }) => status),
    sleep(20_000, "kept out"),
  ]);
  expect(outcome).toBe(201);
  for (const { controller, patch, at } of sending) {
    controller.enqueue(new Uint8Array(500).fill(100 + at));
    controller.close();
    const location = (await patch).headers.get("Location") ?? "";
    const whole = new Uint8Array(1500).fill(at).fill(100 + at, 1000);
    expect((await slow.send("PUT", `${location}?digest=${await digestOf(whole)}`)).status).toBe(201);
  }
}, 60_000);
