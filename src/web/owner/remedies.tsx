/** What to do about errors: a sentence, and the paragraph of the documentation that has the rest. */
import type { FC } from "hono/jsx";
import type { Texts } from "../texts/en.ts";

interface Paragraph {
  page: string;
  en: string;
  zh: string;
}

export const RESPONSES = {
  page: "troubleshooting.md",
  en: "Responses of the mirror",
  zh: "镜像代理的响应",
};
const ENDPOINTS = {
  page: "upstreams.md",
  en: "Endpoints: primary and fallbacks",
  zh: "端点：主端点与回退端点",
};

/** By status. */
export const PARAGRAPHS: Readonly<Record<string, Paragraph>> = {
  "401": { page: "access.md", en: "How clients send a key", zh: "客户端如何携带密钥" },
  "403": { page: "access.md", en: "What the mirror serves", zh: "提供哪些仓库" },
  "429": { page: "upstreams.md", en: "Credentials and rate limits", zh: "上游账号与限流" },
  "503": ENDPOINTS,
  "504": ENDPOINTS,
  "508": { page: "relays.md", en: "Settings", zh: "设置" },
};

/** @param props.docs where the documentation is read; null where that isn't configured, so that only its name is shown. */
export const Remedy: FC<{ status: number; texts: Texts; docs: URL | null }> = ({ status, texts, docs }) => {
  const { owner, language } = texts;
  const paragraph = PARAGRAPHS[String(status)] ?? RESPONSES;
  const heading = language === "en" ? paragraph.en : paragraph.zh;
  const path = `${language === "en" ? "" : "zh/"}${paragraph.page}`;
  return (
    <span class="wide">
      {owner.remedy[String(status)] ?? owner.otherRemedy}{" "}
      {docs === null ? (
        <span>{owner.more(heading, `docs/${path}`)}</span>
      ) : (
        <a href={`${new URL(path, docs).href}#${anchorOf(heading)}`}>{heading}</a>
      )}
    </span>
  );
};

/** As GitHub makes it of a heading. */
export function anchorOf(heading: string): string {
  return encodeURIComponent(
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}
