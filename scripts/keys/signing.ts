/** What a mirror signs its tokens with. */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readIfThere, writePrivately } from "../files.ts";

/** 256 random bits. */
export function generateSigningSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** The secret of a mirror on this machine, made once: logins outlive a restart. */
export async function keptSigningSecret(data: string): Promise<string> {
  const path = join(data, "signing-secret");
  const kept = (await readIfThere(path))?.trim();
  if (kept) return kept;
  const secret = generateSigningSecret();
  await mkdir(data, { recursive: true, mode: 0o700 });
  await writePrivately(path, `${secret}\n`);
  return secret;
}
