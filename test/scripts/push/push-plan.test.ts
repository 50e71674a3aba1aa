import { describe, expect, test } from "vitest";
import { planPush } from "../../../scripts/push/push-plan.ts";

const MIRROR = "https://mirror.example.com";

/** Where an image goes: the base URL, the repository and the tag. */
function destinationOf(image: string, target: string | null, mirror = MIRROR): string {
  const { remote, tag, name } = planPush(image, target, mirror);
  expect(name).toBe(`${remote.endpoint.host}/${remote.repository}:${tag}`);
  return `${remote.endpoint.origin} ${remote.repository} ${tag}`;
}

describe("the target", () => {
  test.each([
    ["https://registry.example.com/hosted/team/app:2", "https://registry.example.com hosted/team/app 2"],
    ["https://registry.example.com:8443/app", "https://registry.example.com:8443 app 1.0"],
    ["http://127.0.0.1:8787/hosted/app", "http://127.0.0.1:8787 hosted/app 1.0"],
    ["registry.example.com/hosted/app", "https://registry.example.com hosted/app 1.0"],
    ["127.0.0.1:8787/hosted/app:2", "http://127.0.0.1:8787 hosted/app 2"],
    ["hosted/team/app", "https://mirror.example.com hosted/team/app 1.0"],
    ["hosted/app:2", "https://mirror.example.com hosted/app 2"],
  ])("%s", (target, place) => {
    expect(destinationOf("myapp:1.0", target)).toBe(place);
  });

  test("gets the image's tag, or latest if that has none", () => {
    expect(destinationOf("myapp", "hosted/app")).toMatch(/ latest$/);
    expect(destinationOf("oci:layout:3.0", "hosted/app")).toMatch(/ 3\.0$/);
    expect(destinationOf("oci:layout", "hosted/app")).toMatch(/ latest$/);
  });

  test.each([
    "ftp://mirror.example.com/hosted/app",
    "https://user:password@mirror.example.com/hosted/app",
    "https://mirror.example.com/",
    "hosted/App",
    `hosted/app@sha256:${"0".repeat(64)}`,
  ])("is refused: %s", (target) => {
    expect(() => planPush("myapp:1.0", target, MIRROR)).toThrow();
  });
});

describe("without a target", () => {
  test.each([
    ["myapp:1.0", "https://mirror.example.com hosted/myapp 1.0"],
    ["team/myapp", "https://mirror.example.com hosted/team/myapp latest"],
    ["hosted/team/myapp:1.0", "https://mirror.example.com hosted/team/myapp 1.0"],
    ["localhost/myapp:1.0", "https://mirror.example.com hosted/myapp 1.0"],
    ["docker-archive:app.tar:team/myapp:1.0", "https://mirror.example.com hosted/team/myapp 1.0"],
    ["registry.example.com/hosted/team/myapp:1.0", "https://registry.example.com hosted/team/myapp 1.0"],
    ["127.0.0.1:5000/myapp:1.0", "http://127.0.0.1:5000 myapp 1.0"],
  ])("%s goes where its name says", (image, place) => {
    expect(destinationOf(image, null)).toBe(place);
  });

  test.each(["oci:layout:1.0", "docker-archive:app.tar", `docker-daemon:sha256:${"0".repeat(64)}`])(
    "%s has no name to go by",
    (image) => {
      expect(() => planPush(image, null, MIRROR)).toThrow("give a target, such as hosted/team/app:1.0");
    },
  );
});

test("a mirror below a path keeps it, and a name without a dot isn't Docker Hub's", () => {
  const { remote, name } = planPush("myapp:1.0", "hosted/app", "http://mirror/v2");
  expect([remote.endpoint.href, remote.repository, name]).toEqual([
    "http://mirror/v2",
    "hosted/app",
    "mirror/hosted/app:1.0",
  ]);
});
