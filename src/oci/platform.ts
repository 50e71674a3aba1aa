/** The names of platforms, and which of them are one, by containerd's rules (containerd/platforms, `Normalize`). */
import type { Platform } from "./manifest.ts";

const OPERATING_SYSTEMS: Readonly<Record<string, string>> = { macos: "darwin" };

/** By a machine's other names: what it is called, and its variant where the name says which. */
const ARCHITECTURES: Readonly<Record<string, [name: string, variant?: string]>> = {
  i386: ["386"],
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

/** By architecture: the variant that is meant where none is named, which is left out or written. */
const VARIANTS: Readonly<Record<string, { plain: string; isWritten: boolean }>> = {
  amd64: { plain: "v1", isWritten: false },
  arm64: { plain: "v8", isWritten: false },
  arm: { plain: "v7", isWritten: true },
};

/** The name of a platform as users write it. */
export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined && part !== "").join("/");
}

/** The one name of a platform that may have several: `linux/arm64` for `linux/aarch64` and `linux/arm64/v8`, `linux/arm/v7` for `linux/arm`. */
export function normalPlatform(name: string): string {
  const [os = "", machine = "", given] = name.toLowerCase().split("/");
  const [architecture, implied] = ARCHITECTURES[machine] ?? [machine];
  const variant = (given ?? implied)?.replace(/^(?=\d)/, "v").replace(/\.0$/, "");
  const rule = VARIANTS[architecture];
  const isPlain = variant === undefined || variant === rule?.plain;
  const written = isPlain ? (rule?.isWritten ? rule.plain : undefined) : variant;
  return [OPERATING_SYSTEMS[os] ?? os, architecture, ...(written === undefined ? [] : [written])].join("/");
}

/** Whether both names are of one platform. */
export function isSamePlatform(one: string, other: string): boolean {
  return normalPlatform(one) === normalPlatform(other);
}
