/** What all pages share: the document, the bar on top, the foot. */

import { raw } from "hono/html";
import type { Child, FC } from "hono/jsx";
import { Compass, Moon, Sun } from "./icons.tsx";
import type { SiteConfig, Visit } from "./site.ts";

/** The menu's entry that a page belongs to. */
export type Current = "start" | "search" | "status" | null;

interface PageProps {
  visit: Visit;
  config: SiteConfig;
  /** Of the page, before the mirror's name; null for the first page. */
  title: string | null;
  current: Current;
  /** Tags of the assets' content, by which their addresses change with it. */
  version: string;
  children?: Child;
}

export const Page: FC<PageProps> = ({ visit, config, title, current, version, children }) => {
  const { texts, theme, origin } = visit;
  return (
    <>
      {raw("<!doctype html>")}
      <html lang={texts.language} data-theme={theme}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <meta name="color-scheme" content="light dark" />
          <title>{title === null ? `${origin.host}: ${texts.title}` : `${title} · ${origin.host}`}</title>
          <link rel="icon" type="image/svg+xml" href={`/_/page/icon.svg?${version}`} />
          <link rel="stylesheet" href={`/_/page/page.css?${version}`} />
          <script type="module" src={`/_/page/page.js?${version}`}></script>
        </head>
        <body data-copied={texts.copied}>
          <a class="skip" href="#content">
            {texts.skip}
          </a>
          <header class="bar">
            <a class="brand" href="/">
              <Compass />
              <span>{origin.host}</span>
            </a>
            <nav aria-label={texts.menu.label}>
              <MenuLink href="/" text={texts.menu.start} isCurrent={current === "start"} />
              <MenuLink href="/_/search" text={texts.menu.search} isCurrent={current === "search"} />
              {config.adminKey !== null && (
                <MenuLink href="/_/owner" text={texts.menu.status} isCurrent={current === "status"} />
              )}
            </nav>
            <Choices visit={visit} />
          </header>
          <main id="content">{children}</main>
          <p class="announced" id="announced" role="status"></p>
          <footer>
            <p>{texts.footer.not}</p>
            <p>
              {texts.footer.software}
              {config.contact && (
                <>
                  {" · "}
                  <a href={config.contact.href}>{texts.start.contact}</a>
                </>
              )}
            </p>
          </footer>
        </body>
      </html>
    </>
  );
};

const MenuLink: FC<{ href: string; text: string; isCurrent: boolean }> = ({ href, text, isCurrent }) => (
  <a href={href} aria-current={isCurrent ? "page" : undefined}>
    {text}
  </a>
);

/** The other language, and the other theme; both are links, so that they work without a script. */
const Choices: FC<{ visit: Visit }> = ({ visit: { texts, theme, path } }) => {
  const isChinese = texts.language !== "en";
  return (
    <div class="choices">
      <a
        href={withChoice(path, "lang", isChinese ? "en" : "zh")}
        lang={isChinese ? "en" : "zh-CN"}
        hreflang={isChinese ? "en" : "zh-CN"}
      >
        {isChinese ? "English" : "中文"}
      </a>
      <span class="themes">
        <a
          href={withChoice(path, "theme", "light")}
          data-choose="light"
          aria-label={texts.menu.light}
          aria-current={theme === "light" ? "true" : undefined}
        >
          <Sun />
        </a>
        <a
          href={withChoice(path, "theme", "dark")}
          data-choose="dark"
          aria-label={texts.menu.dark}
          aria-current={theme === "dark" ? "true" : undefined}
        >
          <Moon />
        </a>
      </span>
    </div>
  );
};

function withChoice(path: string, name: string, value: string): string {
  return `${path}${path.includes("?") ? "&" : "?"}${name}=${value}`;
}

/** Lines to copy. */
export const Code: FC<{ text: string; copy: string }> = ({ text, copy }) => (
  <div class="code">
    <pre tabindex={0}>
      <code>{text}</code>
    </pre>
    <button type="button" class="copy" data-copy hidden>
      {copy}
    </button>
  </div>
);

/** A text with names in backquotes, as guides have them. */
export const Marked: FC<{ text: string }> = ({ text }) => (
  <>{text.split("`").map((part, at) => (at % 2 === 1 ? <code>{part}</code> : part))}</>
);
