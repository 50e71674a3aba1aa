/** The address that requests are counted by: the client's own, never one that a client forges. */
import { describe, expect, test } from "vitest";
import { clientAddress } from "../../src/access/address.ts";

function requestFrom(clientIp: string | null, named: string | null): Request {
  const headers: Record<string, string> = named === null ? {} : { "CF-Connecting-IP": named };
  return { headers: new Headers(headers), cf: clientIp === null ? {} : { clientIp } } as unknown as Request;
}

test("on Cloudflare it is the one Cloudflare reports", () => {
  expect(clientAddress(requestFrom(null, "198.51.100.7"))).toBe("198.51.100.7");
  expect(clientAddress(requestFrom(null, null))).toBeNull();
});

describe("on one machine", () => {
  test.each([
    ["127.0.0.1:40000", "127.0.0.1"],
    ["192.168.1.20:40000", "192.168.1.20"],
    ["[::1]:40000", "::1"],
    ["[2001:41d0::7]:40000", "2001:41d0::7"],
    ["[::ffff:8.8.4.4]:40000", "8.8.4.4"],
  ])("it is the peer's: %s", (clientIp, address) => {
    expect(clientAddress(requestFrom(clientIp, null))).toBe(address);
  });

  test.each(["127.0.0.1:40000", "[::ffff:127.0.0.1]:40000", "172.17.0.2:40000", "[fd00::2]:40000"])(
    "a proxy at %s names the client's address",
    (clientIp) => expect(clientAddress(requestFrom(clientIp, "198.51.100.7"))).toBe("198.51.100.7"),
  );

  test.each([
    ["8.8.4.4:40000", "8.8.4.4"],
    ["[::ffff:8.8.4.4]:40000", "8.8.4.4"],
    ["[2001:41d0::7]:40000", "2001:41d0::7"],
  ])("a stranger at %s doesn't", (clientIp, address) => {
    expect(clientAddress(requestFrom(clientIp, "198.51.100.7"))).toBe(address);
  });
});
