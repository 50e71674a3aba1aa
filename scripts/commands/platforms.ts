/** Which platforms of an image a command takes somewhere else: one, or all of them. */
import type { Command } from "commander";
import { OWN_PLATFORM, platformOption } from "./options.ts";

export interface PlatformSettings {
  platform?: string;
  allPlatforms?: boolean;
}

/** Adds `--platform` and `--all-platforms`. */
export function withPlatforms(command: Command): Command {
  return command
    .addOption(platformOption(`the platform, where there are several (default: ${OWN_PLATFORM})`))
    .option("--all-platforms", "all platforms, with the index over them");
}

/** @returns null for all of them. @throws Error for both options at once. */
export function wantedPlatform({ platform, allPlatforms = false }: PlatformSettings): string | null {
  if (allPlatforms && platform !== undefined) throw new Error("choose --platform or --all-platforms");
  return allPlatforms ? null : (platform ?? OWN_PLATFORM);
}
