import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isInternal, isLoopback } from "../../src/registry/addresses.ts";

const at = (host: string) => new URL(`https://${host}/`);

describe("this very machine", () => {
  test.each([
    "localhost",
    "LOCALHOST",
    "registry.localhost",
    "127.0.0.1",
    "127.255.255.254",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "127.0.0.1:5000",
    "127.0.0.1.",
  ])("is %s", (host) => expect(isLoopback(at(host))).toBe(true));

  test.each([
    "localhost.example.org",
    "notlocalhost",
    "127.0.0.1.example.org",
    "127.example.org",
    "128.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "[::]",
    "[::2]",
    "[::ffff:127.0.0.1]",
  ])("isn't %s", (host) => expect(isLoopback(at(host))).toBe(false));
});

describe("no part of the public Internet", () => {
  test.each([
    ["unspecified", "0.0.0.0"],
    ["this network", "0.1.2.3"],
    ["private", "10.0.0.1"],
    ["private", "172.16.0.1"],
    ["private", "172.31.255.255"],
    ["private", "192.168.0.1"],
    ["shared (carrier NAT)", "100.64.0.1"],
    ["shared (carrier NAT)", "100.127.255.255"],
    ["loopback", "127.0.0.1"],
    ["link-local, where clouds keep their metadata", "169.254.169.254"],
    ["protocol assignments", "192.0.0.170"],
    ["documentation", "192.0.2.1"],
    ["documentation", "198.51.100.1"],
    ["documentation", "203.0.113.1"],
    ["benchmarks", "198.18.0.1"],
    ["benchmarks", "198.19.255.255"],
    ["multicast", "224.0.0.1"],
    ["reserved", "240.0.0.1"],
    ["broadcast", "255.255.255.255"],
    ["written as one number", "2852039166"],
    ["written in hexadecimal", "0xa9fea9fe"],
    ["written in octal", "0251.0376.0251.0376"],
    ["written short", "10.1"],
    ["with a dot at the end", "10.0.0.1."],
    ["written in full-width digits", "１０.0.0.1"],
    ["IPv6 unspecified", "[::]"],
    ["IPv6 loopback", "[::1]"],
    ["IPv6 link-local", "[fe80::1]"],
    ["IPv6 unique local", "[fc00::1]"],
    ["IPv6 unique local", "[fd12:3456::1]"],
    ["IPv6 multicast", "[ff02::1]"],
    ["IPv6 documentation", "[2001:db8::1]"],
    ["IPv6 documentation", "[3fff::1]"],
    ["IPv4 within IPv6, mapped", "[::ffff:10.0.0.1]"],
    ["IPv4 within IPv6, mapped, in hexadecimal", "[::ffff:a9fe:a9fe]"],
    ["IPv4 within IPv6, compatible", "[::10.0.0.1]"],
    ["IPv4 within IPv6, translated", "[64:ff9b::a00:1]"],
    ["IPv4 within IPv6, 6to4", "[2002:a00:1::]"],
    ["IPv4 within IPv6, Teredo", "[2001::a00:1]"],
    ["IPv4 within IPv6, Teredo", "[2001:0:a00:1::1]"],
    ["IPv6 outside 2000::/3, though it begins with a 2", "[200::1]"],
    ["IPv6 outside 2000::/3, though it begins with a 2", "[2::1]"],
    ["IPv6 outside 2000::/3, though it begins with a 3", "[3f::1]"],
    ["a bare name", "metadata"],
    ["a bare name with a dot at the end", "metadata."],
    ["localhost", "localhost"],
    ["localhost with a dot at the end", "localhost."],
    ["below localhost", "registry.localhost"],
    ["below localhost with a dot at the end", "registry.localhost."],
    ["localhost as many systems spell it", "localhost.localdomain"],
    ["a cloud's metadata by name", "metadata.google.internal"],
    ["the same with a dot at the end", "metadata.google.internal."],
    ["multicast DNS", "printer.local"],
    ["a home network", "router.home.arpa"],
    ["a home network", "router.lan"],
  ])("%s: %s", (_, host) => expect(isInternal(at(host))).toBe(true));

  test("holds whatever the port", () => expect(isInternal(at("10.0.0.1:8443"))).toBe(true));
});

describe("the public Internet", () => {
  test.each([
    "ghcr.io",
    "production.cloudflare.docker.com",
    "a.b.r2.cloudflarestorage.com",
    "registry.test",
    "internal.example.org",
    "10.example.org",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.1.0.1",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "223.255.255.255",
    "[2606:4700::6810:84e5]",
    "[2001:4860:4860::8888]",
    "[2a00:1450:4001::]",
    "[3000::1]",
  ])("is %s", (host) => expect(isInternal(at(host))).toBe(false));
});

test("an IPv4 address is judged alike in every spelling", () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
      const number = ((a * 256 + b) * 256 + c) * 256 + d;
      const internal = isInternal(at(address));
      expect(isInternal(at(String(number)))).toBe(internal);
      expect(isInternal(at(`0x${number.toString(16)}`))).toBe(internal);
      expect(isInternal(at(`[::ffff:${address}]`))).toBe(true);
    }),
  );
});

test("this very machine is never taken for the public Internet", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.domain(),
        fc.ipV4(),
        fc.ipV6().map((address) => `[${address}]`),
      ),
      (host) => {
        const url = URL.parse(`https://${host}/`);
        if (url !== null && isLoopback(url)) expect(isInternal(url)).toBe(true);
      },
    ),
  );
});
