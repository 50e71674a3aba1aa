/** The configuration that workerd is started with: its text is escaped, and each network reaches only its own addresses. */
import { describe, expect, test } from "vitest";
import { capnpText, Embedded } from "../../../scripts/local/capnp.ts";
import { configurationText, terminatorText } from "../../../scripts/local/workerd-config.ts";

describe("a value", () => {
  test.each([
    ["a string", "plain", '"plain"'],
    ["what would end a string", 'a "quoted" \\ one', '"a \\"quoted\\" \\\\ one"'],
    ["what isn't printed", "a\nb\tc\0d\u007f", '"a\\x0ab\\x09c\\x00d\\x7f"'],
    ["other letters", "镜像 é 🚢", '"镜像 é 🚢"'],
    ["a boolean", true, "true"],
    ["a list", ["a", "b"], '["a", "b"]'],
    ["a file's content", new Embedded("mirror.js"), 'embed "mirror.js"'],
    ["a structure", { name: "a", http: {}, allow: [] }, '(name = "a", http = (), allow = [])'],
  ])("that is %s", (_, value, text) => {
    expect(capnpText(value)).toBe(text);
  });
});

const OPTIONS = {
  project: {
    compatibilityDate: "2026-11-17",
    compatibilityFlags: [],
    durableObjects: new Map([["FILLS", "BlobFill"]]),
    vars: {},
  },
  variables: { TAG_TTL: "60" },
  folders: {
    store: "/data/store",
    incoming: "/data/incoming",
    records: "/data/records",
    objects: "/data/objects",
  },
  address: "127.0.0.1:0",
  sockets: {
    files: "/data/run/files.sock",
    forwarder: "/run/forwarder.sock",
    control: "/data/run/control.sock",
  },
  certificates: ["-----BEGIN CERTIFICATE-----"],
};

describe("the networks", () => {
  const text = configurationText(OPTIONS);

  test("let the Worker's own fetch reach public addresses only", () => {
    expect(text).toContain('globalOutbound = "internet"');
    expect(text).toMatch(/name = "internet", network = \(allow = \["public"\], /);
  });

  test("trust the operator's certificates beside those of public primaries", () => {
    const tls =
      'tlsOptions = (trustBrowserCas = true, trustedCertificates = ["-----BEGIN CERTIFICATE-----"])';
    expect(text.split(tls)).toHaveLength(3);
  });
});

describe("behind a TLS terminator", () => {
  const terminator = terminatorText(
    { privateKey: "the key", certificateChain: "the chain" },
    "/run/mirror.sock",
  );
  const mirror = configurationText({ ...OPTIONS, address: { socket: "/run/mirror.sock" } });

  test("the mirror reads the scheme and the connection where the terminator writes them, on its socket only", () => {
    const passedOn = /http = (\(forwardedProtoHeader = "[\w-]+", cfBlobHeader = "[\w-]+"\))/;
    const [, written = ""] =
      new RegExp(`address = "unix:/run/mirror.sock", ${passedOn.source}`).exec(terminator) ?? [];
    expect(written).not.toBe("");
    expect(mirror).toContain(`name = "http", address = "unix:/run/mirror.sock", http = ${written}`);
    expect(mirror.split("cfBlobHeader")).toHaveLength(2);
    expect(configurationText(OPTIONS)).not.toContain("cfBlobHeader");
  });

  test("the key is known to the terminator alone", () => {
    expect(terminator).toContain('keypair = (privateKey = "the key", certificateChain = "the chain")');
    expect(mirror).not.toContain("the key");
  });
});
