/** More requests than an address may send. */
import { type Agent, request } from "undici";

/**
 * Sends requests until one is refused, or more of them than the rate and what it grows by meanwhile.
 * @param rate requests a minute.
 * @returns their statuses, each once.
 */
export async function burst(
  url: string,
  rate: number,
  headers: Record<string, string> = {},
  dispatcher?: Agent,
): Promise<number[]> {
  const statuses = new Set<number>();
  const began = Date.now();
  const most = () => rate * (1 + (Date.now() - began) / 60_000) + 5;
  for (let sent = 0; sent <= most() && !statuses.has(429); sent++) {
    const { statusCode, body } = await request(`${url}/_/health`, {
      headers,
      ...(dispatcher && { dispatcher }),
    });
    await body.dump();
    statuses.add(statusCode);
  }
  return [...statuses].sort();
}
