/** Whether Wrangler may act for a Cloudflare account. */
import type { Wrangler } from "./wrangler.ts";

/** What an API token needs, as the dashboard names it, and no more. */
const PERMISSIONS = [
  "Account: Workers Scripts: Edit",
  "Account: Workers KV Storage: Edit",
  "Account: Workers R2 Storage: Edit",
  "Account: Account Settings: Read",
  "Zone: Workers Routes: Edit (for host names of your own)",
  "User: User Details: Read",
  "User: Memberships: Read",
] as const;

/**
 * Logs in by the browser where there is a terminal and no login.
 * @throws Error that names the permissions of a token, for a machine without a browser.
 */
export async function requireLogin(
  wrangler: Wrangler,
  { isTerminal, profile = [] }: { isTerminal: boolean; profile?: readonly string[] },
): Promise<void> {
  if (await isLoggedIn(wrangler, profile)) return;
  if (isTerminal) {
    await wrangler.run(["login", ...profile]);
    if (await isLoggedIn(wrangler, profile)) return;
  }
  throw new Error(
    `Wrangler isn't logged in to Cloudflare. With a browser: npx wrangler login
Without one, make an API token in the dashboard (My Profile, API Tokens) with exactly these permissions, and set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID:
${PERMISSIONS.map((each) => `  ${each}`).join("\n")}`,
  );
}

async function isLoggedIn(wrangler: Wrangler, profile: readonly string[]): Promise<boolean> {
  return (await wrangler.run(["whoami", "--json", ...profile], { isKept: true })).code === 0;
}
