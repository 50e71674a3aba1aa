/** Who gets whole images as a tar. */
import type { Config } from "../../config.ts";
import { isLoopback } from "../../registry/addresses.ts";

/** Holders of keys, and on loopback everyone: a visitor of an open mirror can pull them. */
export function maySave({ access, hosted }: Pick<Config, "access" | "hosted">, url: URL): boolean {
  return access === "keys" || (hosted.isOpen && isLoopback(url));
}
