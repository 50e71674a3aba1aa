import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatChallenge, parseChallenges } from "../../src/oci/challenge.ts";
import { hostileText, longTexts } from "./hostile.ts";

const bearer = (parameters: Record<string, string>) => ({ scheme: "bearer", parameters, token68: null });

describe("reading challenges", () => {
  test("finds realm, service and scope", () => {
    expect(
      parseChallenges(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
      ),
    ).toEqual([
      bearer({
        realm: "https://auth.docker.io/token",
        service: "registry.docker.io",
        scope: "repository:library/alpine:pull",
      }),
    ]);
  });

  test("keeps commas, equals signs and escaped characters inside quotes", () => {
    expect(parseChallenges('Bearer scope="repository:a:pull,push", error="say \\"hi\\" \\\\ = ok"')).toEqual([
      bearer({ scope: "repository:a:pull,push", error: 'say "hi" \\ = ok' }),
    ]);
  });

  test("tells several challenges apart, in one line or in several joined", () => {
    expect(
      parseChallenges('Negotiate, Basic realm="a, b", charset=UTF-8, Bearer realm="https://r/t",service=s'),
    ).toEqual([
      { scheme: "negotiate", parameters: {}, token68: null },
      { scheme: "basic", parameters: { realm: "a, b", charset: "UTF-8" }, token68: null },
      bearer({ realm: "https://r/t", service: "s" }),
    ]);
  });

  test("reads the RFC's own example", () => {
    expect(
      parseChallenges('Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'),
    ).toEqual([
      { scheme: "basic", parameters: { realm: "simple" }, token68: null },
      {
        scheme: "newauth",
        parameters: { realm: "apps", type: "1", title: 'Login to "apps"' },
        token68: null,
      },
    ]);
  });

  test("reads a token68, which is no parameter", () => {
    expect(parseChallenges("Negotiate a.b/c+d==, Bearer realm=x")).toEqual([
      { scheme: "negotiate", parameters: {}, token68: "a.b/c+d==" },
      bearer({ realm: "x" }),
    ]);
  });

  test("ignores case of schemes and names, space around equals signs, and empty elements", () => {
    expect(parseChallenges(' , BEARER  Realm\t= "x" ,, SERVICE =y , ')).toEqual([
      bearer({ realm: "x", service: "y" }),
    ]);
  });

  test("reads an unquoted URL, as some registries write it", () => {
    expect(parseChallenges("Bearer realm=https://r.example/token?a=b,service=s")).toEqual([
      bearer({ realm: "https://r.example/token?a=b", service: "s" }),
    ]);
  });

  test("reads parameters that lack the comma between them", () => {
    expect(parseChallenges('Bearer realm="x" service="y"scope="z"')).toEqual([
      bearer({ realm: "x", service: "y", scope: "z" }),
    ]);
  });

  test("doesn't let a stray word take the parameters behind it", () => {
    expect(parseChallenges('Bearer realm="x"y z, service="s"')).toEqual([
      bearer({ realm: "x", service: "s" }),
    ]);
  });

  test("lets the first of a repeated parameter count", () => {
    expect(parseChallenges('Bearer realm="x", realm="y"')).toEqual([bearer({ realm: "x" })]);
  });

  test("passes over what belongs to no challenge", () => {
    expect(parseChallenges("")).toEqual([]);
    expect(parseChallenges("Negotiate a==, realm=x")).toEqual([
      { scheme: "negotiate", parameters: {}, token68: "a==" },
    ]);
    expect(parseChallenges('realm="x", @, "y", Basic')).toEqual([
      { scheme: "basic", parameters: {}, token68: null },
    ]);
  });

  test("has no inherited parameters", () => {
    const [challenge] = parseChallenges("Bearer __proto__=x");
    expect(challenge?.parameters.constructor).toBeUndefined();
    expect(Object.entries(challenge?.parameters ?? {})).toEqual([["__proto__", "x"]]);
  });

  test("never throws", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const { scheme } of parseChallenges(text)) expect(scheme).not.toBe("");
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes linear time", () => {
    for (const text of longTexts) expect(parseChallenges(text)).toBeInstanceOf(Array);
  });
});

describe("writing a challenge", () => {
  test("quotes every value", () => {
    expect(formatChallenge("Bearer", { realm: "https://m.example/token", service: 'a"b\\c' })).toBe(
      'Bearer realm="https://m.example/token",service="a\\"b\\\\c"',
    );
    expect(formatChallenge("Negotiate", {})).toBe("Negotiate");
  });

  test("lets nothing through that would break the header", () => {
    expect(formatChallenge("Basic", { realm: "a\r\nSet-Cookie: b€" })).toBe(
      'Basic realm="a??Set-Cookie: b?"',
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (realm) => {
        new Headers({ "WWW-Authenticate": formatChallenge("Basic", { realm }) });
      }),
    );
  });

  test("is undone by reading it, among others too", () => {
    const token = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,10}$/);
    const value = fc.string({ unit: fc.constantFrom(...'ab/:.,;="\\ \t<>é~') });
    const parameters = fc.dictionary(token, value, { noNullPrototype: true });
    const challenges = fc.array(fc.record({ scheme: token, parameters }), { maxLength: 4 });
    fc.assert(
      fc.property(challenges, (written) => {
        const header = written
          .map(({ scheme, parameters }) => formatChallenge(scheme, parameters))
          .join(", ");
        expect(parseChallenges(header)).toEqual(
          written.map((challenge) => ({ ...challenge, token68: null })),
        );
      }),
    );
  });
});
