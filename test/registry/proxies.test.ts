import { describe, expect, test } from "vitest";
import { proxyFor } from "../../src/registry/proxies.ts";

const HTTPS = new URL("https://ghcr.io/v2/");

function proxyOf(url: string | URL, environment: Record<string, string>): string | null {
  return proxyFor(new URL(url), environment)?.href ?? null;
}

describe("the proxy for a URL", () => {
  test.each<[string, Record<string, string>, string | null]>([
    ["https://ghcr.io/", {}, null],
    ["https://ghcr.io/", { HTTPS_PROXY: "http://proxy:3128" }, "http://proxy:3128/"],
    ["https://ghcr.io/", { https_proxy: "http://one:1", HTTPS_PROXY: "http://two:2" }, "http://one:1/"],
    ["https://ghcr.io/", { HTTP_PROXY: "http://proxy:3128" }, null],
    ["http://plain.example/", { HTTP_PROXY: "http://proxy:3128" }, "http://proxy:3128/"],
    ["https://ghcr.io/", { ALL_PROXY: "socks5h://proxy:1080" }, "socks5h://proxy:1080"],
    ["https://ghcr.io/", { HTTPS_PROXY: "proxy:3128" }, "http://proxy:3128/"],
    ["https://ghcr.io/", { HTTPS_PROXY: "", ALL_PROXY: "socks5://proxy:1080" }, "socks5://proxy:1080"],
    ["http://127.0.0.1:5000/", { HTTP_PROXY: "http://proxy:3128" }, null],
    ["http://localhost:5000/", { ALL_PROXY: "http://proxy:3128" }, null],
  ])("%s with %j is %s", (url, environment, proxy) => {
    expect(proxyOf(url, environment)).toBe(proxy);
  });

  test.each([
    ["ghcr.io", true],
    [".ghcr.io", true],
    ["*", true],
    ["quay.io, ghcr.io", true],
    ["ghcr.io:443", true],
    ["ghcr.io:8443", false],
    ["io", true],
    ["hcr.io", false],
    ["*.ghcr.io", false],
    ["", false],
  ])("isn't used if NO_PROXY names the host: %s → %s", (list, isDirect) => {
    const proxy = proxyFor(HTTPS, { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: list });
    expect(proxy === null).toBe(isDirect);
  });

  test.each([
    ["https://10.1.2.3/", "10.0.0.0/8", true],
    ["https://11.1.2.3/", "10.0.0.0/8", false],
    ["https://[fd00::1]/", "fd00::/8", true],
    ["https://[fd00::1]:8443/", "[fd00::1]:8443", true],
    ["https://10.1.2.3/", "10.1.2.3", true],
  ])("isn't used for %s if NO_PROXY has %s → %s", (url, list, isDirect) => {
    expect(proxyOf(url, { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: list }) === null).toBe(isDirect);
  });

  test("of an unknown kind is refused by the variable's name", () => {
    expect(() => proxyFor(HTTPS, { HTTPS_PROXY: "ftp://proxy" })).toThrow(/HTTPS_PROXY must be a URL/);
  });
});
