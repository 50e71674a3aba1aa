/** What the doctor makes of answers, clocks and configurations. */
import { describe, expect, test } from "vitest";
import { judgeClock, type Reading } from "../../../scripts/doctor/clock.ts";
import { judgePlain } from "../../../scripts/doctor/connection.ts";
import { type DockerInfoResult, judgeDocker } from "../../../scripts/doctor/docker.ts";
import { judgeRange } from "../../../scripts/doctor/range.ts";

test("http is right on this machine; from another, Docker needs insecure-registries only beyond registry-mirrors", () => {
  expect(judgePlain(new URL("http://127.0.0.1:8787")).state).toBe("good");
  expect(judgePlain(new URL("http://192.168.1.10:8787"))).toMatchObject({
    state: "warning",
    advice: expect.stringMatching(
      /accepts http:\/\/ under registry-mirrors as it is; .* pull by the mirror's name, it needs 192\.168\.1\.10:8787 under insecure-registries\.$/,
    ),
  });
});

describe("a part of a layer", () => {
  const whole = new TextEncoder().encode("0123456789");
  const response = (status: number, contentRange: string | null, text: string) => ({
    status,
    headers: new Headers(contentRange === null ? {} : { "content-range": contentRange }),
    bytes: new TextEncoder().encode(text),
  });

  test("is right with 206, its place and its bytes", () => {
    expect(judgeRange(response(206, "bytes 5-9/10", "56789"), whole, 5).state).toBe("good");
    expect(judgeRange(response(206, "bytes 5-9/*", "56789"), whole, 5).state).toBe("good");
  });

  test.each([
    ["the whole with 200", response(200, null, "0123456789"), /ignores Range/],
    ["an error", response(416, "bytes */10", ""), /416 where 206 is due/],
    ["206 without a place", response(206, null, "56789"), /without a Content-Range/],
    [
      "206 for another place",
      response(206, "bytes 4-9/10", "456789"),
      /was sent a request for bytes 5-9\/10/,
    ],
    ["206 of another size", response(206, "bytes 5-9/11", "56789"), /was sent a request for bytes 5-9\/10/],
    ["206 with other bytes", response(206, "bytes 5-9/10", "01234"), /other bytes/],
    ["206 that is cut", response(206, "bytes 5-9/10", "567"), /other bytes/],
  ])("is wrong as %s", (_, given, says) => {
    const { state, says: text, advice } = judgeRange(given, whole, 5);
    expect(state).toBe("bad");
    expect(text).toMatch(says);
    expect(advice).not.toBeNull();
  });
});

describe("the clock", () => {
  const now = Date.parse("2026-06-01T12:00:00Z");
  const reading = (host: string, secondsOff: number, isHere = false): Reading => ({
    ...{ host, isHere, at: now },
    date: new Date(now + secondsOff * 1000).toUTCString(),
  });

  test("is right if a server elsewhere agrees within half a minute", () => {
    expect(judgeClock([reading("one", 20), reading("here", 0, true)])).toMatchObject({
      state: "good",
      says: "agrees with one",
    });
  });

  test("isn't proved by this machine's own mirror, or by servers without a date", () => {
    expect(judgeClock([reading("here", 0, true)]).state).toBe("skipped");
    expect(judgeClock([{ host: "one", isHere: false, date: null, at: now }]).state).toBe("skipped");
  });

  test("is wrong if all say so", () => {
    const { state, says, advice } = judgeClock([reading("one", -7200), reading("two", -7201)]);
    expect(state).toBe("bad");
    expect(says).toBe("this machine is 2 hours fast, by one and two");
    expect(advice).toContain("timedatectl");
  });

  test("may be wrong if one says so, and no other one is heard", () => {
    expect(judgeClock([reading("one", 7200)])).toMatchObject({
      state: "bad",
      says: "this machine and one are 2 hours apart",
    });
  });

  test("of the mirror is wrong if another server agrees with this machine", () => {
    expect(judgeClock([reading("mirror", 7200), reading("registry", 0)])).toMatchObject({
      state: "warning",
      says: "mirror is 2 hours fast; this machine agrees with registry",
    });
  });

  test("of a virtual machine behind this machine's own address is found out too", () => {
    expect(judgeClock([reading("here", -86_400, true)]).state).toBe("bad");
  });

  test("that is off by less than tokens bear is only worth a look", () => {
    expect(judgeClock([reading("one", 60)]).state).toBe("warning");
  });
});

describe("Docker's configuration", () => {
  const using = (...Mirrors: string[]): DockerInfoResult => ({
    info: { ServerVersion: "28.0.0", ServerErrors: null, RegistryConfig: { Mirrors } },
  });
  const mirror = "http://127.0.0.1:8787";

  test("is right with the mirror in first place, however its URL is written", () => {
    expect(judgeDocker(using("http://127.0.0.1:8787/"), mirror).state).toBe("good");
  });

  test("is worth a look with another mirror before it", () => {
    const { state, says } = judgeDocker(using("https://other.test/", `${mirror}/`), mirror);
    expect(state).toBe("warning");
    expect(says).toContain("https://other.test/ before");
  });

  test("is wrong without the mirror, and the advice can be copied", () => {
    const { state, advice } = judgeDocker(using(), mirror);
    expect(state).toBe("bad");
    expect(JSON.parse(/\{.*\}/.exec(advice ?? "")?.[0] ?? "")).toEqual({ "registry-mirrors": [mirror] });
    const beside = judgeDocker(using("https://other.test/"), mirror);
    expect(beside.state).toBe("bad");
    expect(beside.advice).toContain(`["${mirror}","https://other.test"]`);
  });

  test("has no use for a mirror with a path: the advice is to pull by name", () => {
    expect(judgeDocker(using(), "https://m.test/docker.io").advice).toContain("pull by name");
  });

  test("can't be seen while Docker isn't there or doesn't run", () => {
    expect(judgeDocker({ absent: true }, mirror).state).toBe("skipped");
    expect(judgeDocker({ failed: "permission denied" }, mirror).state).toBe("warning");
    const down = { info: { ServerVersion: "", ServerErrors: ["Cannot connect"], RegistryConfig: null } };
    expect(judgeDocker(down, mirror)).toMatchObject({ state: "warning", says: "Cannot connect" });
  });
});
