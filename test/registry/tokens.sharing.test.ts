// Which requests may share a token: concurrent ones and later ones, and none that it isn't for.

import { describe, expect, test } from "vitest";
import { failureOf, upstreamOf } from "../upstream/support.ts";
import { BEARER, createTokens, numberedToken } from "./support.ts";

describe("many who request at once", () => {
  test("cause one request, and all get its token", async () => {
    const { obtain, requested } = createTokens();
    const all = await Promise.all(Array.from({ length: 10 }, () => obtain()));
    expect(new Set(all)).toEqual(new Set(["Bearer t1"]));
    expect(requested).toHaveLength(1);
  });

  test("cause one request when a token has to be renewed", async () => {
    const { obtain, ready, clock, requested } = createTokens();
    await obtain();
    clock.pass(400);
    const all = await Promise.all(Array.from({ length: 10 }, () => ready()));
    expect(new Set(all)).toEqual(new Set(["Bearer t2"]));
    expect(requested).toHaveLength(2);
  });

  test("all see its failure", async () => {
    const { obtain, requested } = createTokens(() => new Response(null, { status: 503 }));
    const all = await Promise.all(Array.from({ length: 10 }, () => failureOf(obtain())));
    expect(all.map(({ kind }) => kind)).toEqual(Array(10).fill("unavailable"));
    expect(requested).toHaveLength(1);
  });

  test("and come one after the other with the 401 they got before there was a token, use the one there is", async () => {
    const { obtain, requested } = createTokens();
    for (let late = 0; late < 5; late++) expect(await obtain()).toBe("Bearer t1");
    expect(requested).toHaveLength(1);
  });

  test("for different repositories get tokens of their own", async () => {
    const { obtain, requested } = createTokens();
    const [one, other] = await Promise.all([
      obtain(BEARER, { repository: "o/one" }),
      obtain(BEARER, { repository: "o/other" }),
    ]);
    expect(one).not.toBe(other);
    expect(requested).toHaveLength(2);
  });

  test("don't lose it when the one who came first leaves: its request is kept alive, and never fails there", async () => {
    const { obtain, background } = createTokens(() => new Response(null, { status: 500 }));
    await failureOf(obtain());
    expect(background).toHaveLength(1);
    await expect(Promise.all(background)).resolves.toBeDefined();
  });
});

describe("a token is for one repository of one endpoint", () => {
  test("and isn't ready for another repository, which gets its own by the challenge learned", async () => {
    const { obtain, ready, requested } = createTokens();
    await obtain(BEARER, { repository: "o/one" });
    expect(await ready({ repository: "o/other" })).toBe("Bearer t2");
    expect(new URL(requested[1]?.url ?? "").searchParams.get("scope")).toBe("repository:o/other:pull");
    expect(await ready({ repository: "o/one" })).toBe("Bearer t1");
  });

  test("nor for another upstream at the same endpoint, nor for another login", async () => {
    const { obtain, ready } = createTokens();
    await obtain();
    expect(await ready({ registry: upstreamOf({ name: "other.test" }) })).toBe("Bearer t2");
    const login = { name: "registry.test #1", username: "u", password: "p" };
    expect(await ready({ login })).toBe("Bearer t3");
    expect(await ready()).toBe("Bearer t1");
  });

  test("and is gone with its challenge once it was refused", async () => {
    const { obtain, ready, forget, requested } = createTokens();
    forget(await obtain());
    expect(await ready()).toBeNull();
    expect(requested).toHaveLength(1);
  });

  test("but not for an older one's refusal", async () => {
    const { obtain, ready, forget, clock } = createTokens();
    const old = await obtain();
    clock.pass(400);
    await obtain();
    forget(old);
    expect(await ready()).toBe("Bearer t2");
  });

  test("and isn't given to the one to whom it was refused", async () => {
    const { obtain } = createTokens();
    expect(await obtain(BEARER, {}, await obtain())).toBe("Bearer t2");
  });

  test("nor for another endpoint, where nothing is known yet", async () => {
    const { obtain, ready, requested } = createTokens();
    await obtain();
    expect(await ready({ endpoint: new URL("https://other.test") })).toBeNull();
    expect(requested).toHaveLength(1);
  });
});

test("a challenge whose realm no longer works is requested again, so that a moved realm is found", async () => {
  const { obtain, ready, clock } = createTokens((request, count) =>
    count === 1 ? numberedToken(request, count) : new Response(null, { status: 500 }),
  );
  await obtain();
  clock.pass(400);
  await ready().catch(() => null);
  expect(await ready()).toBeNull();
});

test("a thousand tokens are kept, and then the oldest goes", async () => {
  const { obtain, ready, requested } = createTokens();
  for (let count = 0; count <= 1000; count++) await obtain(BEARER, { repository: `o/i${count}` });
  await ready({ repository: "o/i1" });
  expect(requested).toHaveLength(1001);
  await ready({ repository: "o/i0" });
  expect(requested).toHaveLength(1002);
});
