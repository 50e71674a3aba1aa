// The pages in Chromium: what a person sees and does, in both languages and themes, on a telephone and on a desk.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { addKey } from "../../src/access/key-changes.ts";
import { accessibilityFaults, startBrowser, visit } from "./support/browser.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";

const IMAGE = `/_/image/docker.io/${REPOSITORIES["docker.io"]}:${TAG}`;
const COMPOSE =
  "services:\n  web:\n    image: nginx:1.27 # the front\n  db:\n    image: ghcr.io/a/b@DIGEST\n".replace(
    "DIGEST",
    `sha256:${"a".repeat(64)}`,
  );

const ADMIN_KEY = "admin-key-of-32-characters-or-so!";

let browser: Browser;
let stage: Stage;
let keyed: Stage;
let key: string;

beforeAll(async () => {
  const made = await addKey([], "ada", { allow: [], deny: [], expires: null, rate: null });
  key = made.key;
  browser = await startBrowser();
  stage = await startStage(inject("registry"), { PUBLIC_SUMMARY: "true" });
  keyed = await startStage(inject("registry"), {
    ...{ ACCESS: "keys", ACCESS_KEYS: JSON.stringify(made.list), ADMIN_KEY },
  });
});
afterAll(async () => {
  await browser?.close();
  await stage?.stop();
  await keyed?.stop();
});

const WAYS = (["en-US", "zh-CN"] as const).flatMap((locale) =>
  (["light", "dark"] as const).flatMap((colorScheme) =>
    [360, 1280].map((width) => ({ locale, colorScheme, viewport: { width, height: 800 } })),
  ),
);
/** What looks different in every way, and what is made of the same parts. */
const PATHS = ["/", IMAGE];
const OTHERS = ["/?client=containerd-2", "/_/session", "/_/search", "/_/search?q=nginx", "/_/image/NONE"];

describe.each(WAYS)("in $locale, $colorScheme, $viewport.width px wide", (options) => {
  const isOutermost = options === WAYS[0] || options === WAYS.at(-1);
  test.each(isOutermost ? [...PATHS, ...OTHERS] : PATHS)(
    "%s is accessible, fits, and loads nothing from elsewhere",
    async (path) => {
      const { page, context, problems, requests } = await visit(browser, stage.url + path, options);
      expect(await page.evaluate(() => document.documentElement.lang)).toBe(
        options.locale === "en-US" ? "en" : "zh-CN",
      );
      expect(await accessibilityFaults(page)).toEqual([]);
      const { scroll, width } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        width: innerWidth,
      }));
      expect(scroll).toBeLessThanOrEqual(width);
      // A page about an error has its status, of which Chromium tells the console.
      expect(problems.filter((text) => !/status of 400/.test(text))).toEqual([]);
      expect(requests.filter((each) => !each.startsWith(`GET ${stage.url}/`))).toEqual([]);
      await context.close();
    },
  );
});

describe("the page at /", () => {
  test("weighs 60 KiB at most, and nothing moves while it loads", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => {
      const shifts: number[] = [];
      Object.assign(window, { shifts });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
      }).observe({ type: "layout-shift", buffered: true });
    });
    let bytes = 0;
    page.on("requestfinished", async (request) => {
      const sizes = await request.sizes();
      bytes += sizes.responseBodySize + sizes.responseHeadersSize;
    });
    await page.goto(`${stage.url}/`, { waitUntil: "networkidle" });
    await expect.poll(() => bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(60 * 1024);
    expect(await page.evaluate(() => (window as unknown as { shifts: number[] }).shifts)).toEqual([]);
    await context.close();
  });

  test("converts a compose file in the browser: nothing of it is sent", async () => {
    const { page, context, requests } = await visit(browser, `${stage.url}/`);
    const before = requests.length;
    await page.locator("#pasted").fill(COMPOSE);
    const host = new URL(stage.url).host;
    await expect.poll(() => page.locator("#found").textContent()).toBe("2 images");
    const codes = await page.locator("#results pre").allTextContents();
    expect(codes).toEqual([
      `${host}/docker.io/library/nginx:1.27`,
      `${host}/ghcr.io/a/b@sha256:${"a".repeat(64)}`,
      COMPOSE.replace("nginx", `${host}/docker.io/library/nginx`).replace("ghcr.io", `${host}/ghcr.io`),
    ]);
    expect(await accessibilityFaults(page)).toEqual([]);
    // The page's icon may come late.
    expect(requests.slice(before).filter((each) => !each.includes("/_/page/"))).toEqual([]);
    await context.close();
  });

  test("makes nothing of what is pasted but text", async () => {
    const { page, context, problems } = await visit(browser, `${stage.url}/`);
    await page
      .locator("#pasted")
      .fill(
        'image: "nginx:$" # <img src=x onerror=alert(1)>\nimage: "<img src=x>"\n<script>alert(1)</script>\nimage: busybox\n',
      );
    await expect.poll(() => page.locator("#results li").count()).toBeGreaterThan(0);
    expect(await page.locator("#results img, #results script").count()).toBe(0);
    expect(problems).toEqual([]);
    await context.close();
  });

  test("says that Docker Hub's search can't be reached, and takes an exact name", async () => {
    const { page, context } = await visit(
      browser,
      `${stage.url}/_/search?q=${REPOSITORIES["docker.io"]}:${TAG}`,
    );
    expect(await page.locator(".problem").textContent()).toContain("can’t be reached");
    await page.locator(`.work a[href="${IMAGE}"]`).click();
    expect(await page.locator("h1").textContent()).toContain(REPOSITORIES["docker.io"]);
    await context.close();
  });

  test("copies", async () => {
    const { page, context } = await visit(browser, `${stage.url}/`);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator(".hero [data-copy]").click();
    await expect.poll(() => page.locator("#announced").textContent()).toBe("Copied");
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
      `docker pull ${new URL(stage.url).host}/docker.io/library/alpine`,
    );
    await context.close();
  });

  test("is used by the keyboard alone", async () => {
    const { page, context } = await visit(browser, `${stage.url}/`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    expect(new URL(page.url()).hash).toBe("#content");
    const focused = new Set<string>();
    for (let at = 0; at < 40; at++) {
      await page.keyboard.press("Tab");
      focused.add(
        await page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName || ""),
      );
    }
    for (const id of ["pasted", "name", "client", "BUTTON", "SUMMARY"]) expect([...focused]).toContain(id);
    await context.close();
  });

  test("changes its language and theme, and keeps them", async () => {
    const { page, context } = await visit(browser, `${stage.url}/`, { colorScheme: "light" });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.locator("[data-choose=dark]").click();
    await expect.poll(background).not.toBe(light);
    await page.getByText("中文").click();
    await expect.poll(() => page.evaluate(() => document.documentElement.lang)).toBe("zh-CN");
    expect(await background()).not.toBe(light);
    await page.goto(`${stage.url}/`);
    expect(await page.evaluate(() => document.documentElement.lang)).toBe("zh-CN");
    await context.close();
  });

  test("works without a script, but for what only a script can do", async () => {
    const { page, context } = await visit(browser, `${stage.url}/`, { javaScriptEnabled: false });
    await page.locator("#client").selectOption("k3s");
    await page.getByRole("button", { name: "Show" }).last().click();
    await page.waitForURL(/client=k3s/);
    expect(await page.locator("#guide").textContent()).toContain("/etc/rancher/k3s/registries.yaml");
    expect(await page.locator("[data-copy]:visible").count()).toBe(0);
    await context.close();
  });

  test("runs no script that isn't the mirror's own", async () => {
    const { page, context, problems } = await visit(browser, `${stage.url}/`);
    const violated = await page.evaluate(async () => {
      const found: string[] = [];
      document.addEventListener("securitypolicyviolation", (event) => found.push(event.effectiveDirective));
      const inline = document.createElement("script");
      let isRefused = false;
      try {
        inline.textContent = "window.ran = true";
        document.body.append(inline);
      } catch {
        isRefused = true;
      }
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x.png";
      document.body.append(image);
      document.body.setAttribute("style", "color: red");
      await fetch("http://127.0.0.1:9/").catch(() => {});
      await new Promise((resolve) => setTimeout(resolve));
      return { found, isRefused, ran: "ran" in window };
    });
    expect(violated.ran).toBe(false);
    expect(violated.isRefused || violated.found.some((each) => each.startsWith("script-src"))).toBe(true);
    for (const directive of ["img-src", "connect-src", "style-src-attr"])
      expect(violated.found).toContain(directive);
    expect(problems.length).toBeGreaterThan(0);
    await context.close();
  });
});

describe("on a keyed mirror", () => {
  test("the access key is filled in where it is needed, and never sent", async () => {
    const { page, context, requests, problems } = await visit(browser, `${keyed.url}/?client=containerd-2`);
    await page.locator("#key").fill("wrong");
    await expect.poll(() => page.locator("#key-invalid").textContent()).toContain("32");
    await page.locator("#key").fill(key);
    const credentials = Buffer.from(`portolan:${key}`).toString("base64");
    await expect.poll(() => page.locator("#guide").textContent()).toContain(credentials);
    await page.locator("#client").selectOption("docker");
    await expect.poll(() => page.locator("#guide").textContent()).toContain(`docker-${key}.`);
    expect(await page.locator("body").textContent()).not.toContain("yourkey");
    for (const request of requests) {
      expect(request).not.toContain(key);
      expect(request).not.toContain(encodeURIComponent(credentials));
    }
    expect(await context.cookies()).toEqual([]);
    expect(problems).toEqual([]);
    await context.close();
  });

  test("an image is shown after signing in", async () => {
    const { page, context } = await visit(browser, keyed.url + IMAGE);
    expect(new URL(page.url()).pathname).toBe("/_/session");
    await page.locator("#secret").fill("not the key");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect.poll(() => page.locator("#problem").textContent()).toContain("no key");
    await page.locator("#secret").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`**${IMAGE}`);
    expect(await page.locator("h1").textContent()).toContain(REPOSITORIES["docker.io"]);
    expect(await page.evaluate(() => document.cookie)).toBe("");
    await context.close();
  });

  test.each([WAYS[0], WAYS.at(-1)])(
    "the owner signs in, makes a key, narrows it and revokes it, $locale",
    async (options) => {
      const { page, context, problems, requests } = await visitAsOwner(options);
      await page.goto(`${keyed.url}/_/owner/keys`);
      await page.locator("#key-name").fill("laptop");
      await page.locator("button[value=key]").click();
      await expect.poll(() => page.locator(".done code").textContent()).toMatch(/^[a-z2-7]{32}$/);
      const made = (await page.locator(".done code").textContent()) ?? "";
      const pull = async (path = "") =>
        (await fetch(`${keyed.url}/v2/${path}`, { headers: { Authorization: `Basic ${btoa(`a:${made}`)}` } }))
          .status;
      await expect.poll(() => pull(), { timeout: 90_000 }).toBe(200);
      expect(await accessibilityFaults(page)).toEqual([]);
      await page.locator("a[href='/_/owner/keys?key=laptop']").click();
      await page.locator("#allow").fill("ghcr.io/*");
      await page.locator("button[value=narrow]").click();
      await expect.poll(() => page.locator(".notice.done").textContent()).toContain("laptop");
      const denied = `${REPOSITORIES["docker.io"]}/manifests/${TAG}`;
      await expect.poll(() => pull(denied), { timeout: 90_000 }).toBe(403);
      await page.locator("button[value=revoke]").click();
      await expect.poll(() => page.locator("button[value=revoke]").count()).toBe(0);
      await expect.poll(() => pull(), { timeout: 90_000 }).toBe(401);
      expect(problems).toEqual([]);
      expect(requests.filter((each) => !each.includes(keyed.url))).toEqual([]);
      await context.close();
    },
  );

  test.each(WAYS)(
    "the owner's sections are accessible and fit, $locale, $colorScheme, $viewport.width px",
    async (options) => {
      const { page, context, problems, requests } = await visitAsOwner(options);
      await page.goto(`${keyed.url}/_/owner/store`);
      await page.locator("#image").fill(`docker.io/${REPOSITORIES["docker.io"]}:${TAG}`);
      await page.locator("button[value=warm]").click();
      await expect.poll(() => page.locator(".notice.done").count()).toBe(1);
      for (const section of ["", "/store", "/tags", "/keys", "/hosted"]) {
        await page.goto(`${keyed.url}/_/owner${section}`, { waitUntil: "networkidle" });
        expect([section, await accessibilityFaults(page)]).toEqual([section, []]);
        const [scroll, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        expect([section, (scroll ?? 0) <= (width ?? 0)]).toEqual([section, true]);
      }
      expect(problems).toEqual([]);
      expect(requests.filter((each) => !each.includes(keyed.url))).toEqual([]);
      await context.close();
    },
  );

  test("the owner does everything by the keyboard", async () => {
    const { page, context } = await visitAsOwner(WAYS[0]);
    await page.goto(`${keyed.url}/_/owner/tags`);
    const focus = async (selector: string) => {
      for (let at = 0; at < 60; at++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
      }
      throw new Error(`${selector} can't be reached`);
    };
    const digest = `sha256:${"b".repeat(64)}`;
    await focus("#digest");
    await page.keyboard.type(digest);
    await focus("button[value=recall]");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator(".notice.done").textContent()).toContain(digest);
    await focus("button[value=undo]");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator("button[value=undo]").count()).toBe(0);
    await context.close();
  });

  async function visitAsOwner(options: (typeof WAYS)[number] | undefined) {
    const visited = await visit(browser, `${keyed.url}/_/owner`, options ?? {});
    expect(new URL(visited.page.url()).pathname).toBe("/_/session");
    await visited.page.locator("#secret").fill(ADMIN_KEY);
    await visited.page.locator("main button").click();
    await visited.page.waitForURL("**/_/owner");
    return visited;
  }
});
