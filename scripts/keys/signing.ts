/** Secrets that a mirror on this machine makes for itself: what it signs its tokens with, and its ADMIN_KEY. */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readIfThere, writePrivately } from "../files.ts";

/** 256 random bits. */
export function generateSigningSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** The signing secret of a mirror on this machine, made once: logins outlive a restart. */
export function keptSigningSecret(data: string): Promise<string> {
  return keptSecret(join(data, "signing-secret"));
}

/** The ADMIN_KEY of a mirror on this machine, which its owner's commands read from there. */
export function keptAdminKey(data: string): Promise<string> {
  return keptSecret(adminKeyFile(data));
}

export function adminKeyFile(data: string): string {
  return join(data, "admin-key");
}

async function keptSecret(path: string): Promise<string> {
  const kept = (await readIfThere(path))?.trim();
  if (kept) return kept;
  const secret = generateSigningSecret();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writePrivately(path, `${secret}\n`);
  return secret;
}
