/** Attempts to leak, misuse or guess a user's login. */
import { beforeEach, describe, expect, test } from "vitest";
import { REFUSED_LOGIN_RATE } from "../../src/access/limits.ts";
import { behaviours } from "../support/fake-registry.ts";
import { ALICE, LOGIN_HOST, SECRET, useAttackScene } from "./attack-scene.ts";
import { basic, bearer, KEY } from "./keyed.ts";

const scene = useAttackScene();
const { mirror, pull, everythingSent } = scene;

describe("a user's login", () => {
  const headers = basic(ALICE.password, ALICE.username);

  beforeEach(async () => {
    mirror.ghcr.settings.auth = "basic";
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
  });

  test("is sent only to its host's upstream, even if the path or ns names another", async () => {
    for (const path of [
      "/v2/docker.io/library/demo/manifests/latest",
      "/docker.io/v2/library/demo/manifests/latest",
      "/v2/library/demo/manifests/latest?ns=docker.io",
    ]) {
      await mirror.request(path, { host: LOGIN_HOST, headers });
    }
    expect(JSON.stringify(mirror.docker.requests)).not.toContain(headers.Authorization);
    expect(mirror.network.strays).toEqual([]);
  });

  test("isn't sent to a foreign realm, redirect target or storage host", async () => {
    const ask = async () => {
      for (const path of [
        "/v2/",
        "/_/token?scope=repository:alice/secret:pull",
        "/v2/alice/secret/manifests/latest",
      ]) {
        await mirror.request(path, { host: LOGIN_HOST, headers });
      }
    };
    mirror.ghcr.settings.auth = "bearer";
    mirror.ghcr.settings.realm = "https://evil.test/token";
    await ask();
    mirror.newIsolate();
    mirror.ghcr.settings.realm = "http://169.254.169.254/token";
    await ask();
    expect(mirror.network.strays).toEqual([]);
    mirror.newIsolate();
    mirror.ghcr.settings.realm = null;
    mirror.ghcr.fail({ path: /./ }, behaviours.redirectTo("https://auth.docker.io/token"));
    await ask();
    expect(JSON.stringify(mirror.docker.requests)).not.toContain("Basic");
  });

  test("is ignored where the key is in the path", async () => {
    const response = await mirror.request(`/${KEY}/v2/alice/secret/manifests/latest`, {
      host: "ghcr.example.com",
      headers,
    });
    expect(response.status).toBe(403);
    expect(everythingSent()).not.toContain(headers.Authorization);
  });

  test("grants its access to that user only, not to others with the same key", async () => {
    const path = "/v2/alice/secret/manifests/latest";
    const init = { host: LOGIN_HOST };
    expect((await mirror.request(path, { ...init, headers })).status).toBe(200);
    for (const next of [{}, basic("wrong", "alice"), basic(ALICE.password, "bob"), bearer("x")]) {
      for (const method of ["GET", "HEAD"]) {
        expect((await mirror.request(path, { ...init, method, headers: next })).status).toBe(401);
      }
    }
    expect((await pull(path.replace("/v2/", "/v2/ghcr.io/"))).status).toBe(403);
  });

  test.each(["basic", "bearer"] as const)("can't be guessed from many addresses: %s", async (auth) => {
    mirror.ghcr.settings.auth = auth;
    const path = auth === "basic" ? "/v2/" : "/_/token?scope=repository:alice/secret:pull";
    const guess = (password: string, at: number, user = "alice") =>
      mirror.request(path, {
        host: LOGIN_HOST,
        headers: { ...basic(password, user), "CF-Connecting-IP": `2001:db8:${at}::1` },
      });
    for (let at = 0; at < REFUSED_LOGIN_RATE; at++) {
      expect((await guess(`wrong ${at}`, at, at % 2 ? "alice" : "ALICE")).status).toBe(401);
    }
    const sent = everythingSent();
    const refused = await guess(ALICE.password, 1000);
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([
      429,
      expect.stringMatching(/^[123]$/),
    ]);
    expect(everythingSent()).toBe(sent);
    expect((await guess("wrong", 1000, "bob")).status).toBe(401);
    mirror.clock.ahead += 3000;
    expect((await guess(ALICE.password, 1000)).status).toBe(200);
  });

  test("with the right password can be sent any number of times", async () => {
    for (let count = 0; count < 3 * REFUSED_LOGIN_RATE; count++) {
      expect((await mirror.request("/v2/", { host: LOGIN_HOST, headers })).status).toBe(200);
    }
  });
});
