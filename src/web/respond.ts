/** Pages as responses. */
import type { Context } from "hono";
import { PAGE_POLICY } from "../access/browsers.ts";

/** @param page a document; Hono's JSX, which may be a promise. */
export async function pageResponse(
  c: Context,
  page: { toString(): string | Promise<string> } | Promise<{ toString(): string }>,
  status: 200 | 400 | 401 | 403 | 404 | 429 | 502 | 503 = 200,
): Promise<Response> {
  const text = await (await page).toString();
  return c.html(text, status, {
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "private, no-cache",
    Vary: "Accept, Accept-Language, Cookie",
  });
}

/** Whether a client is one that shows pages. Others get plain text. */
export function wantsPage(c: Context): boolean {
  return /\btext\/html\b/.test(c.req.header("Accept") ?? "");
}
