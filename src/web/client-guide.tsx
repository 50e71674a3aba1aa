/** How to configure a client for this very mirror: the guides that the command line and docs/clients show, with a picker. */
import type { FC } from "hono/jsx";
import { CLIENTS, type ClientName } from "../guides/clients.ts";
import type { Guide, GuideRequest, Step } from "../guides/guide.ts";
import { Code, Marked } from "./layout.tsx";
import type { SiteConfig, Visit } from "./site.ts";
import type { Texts } from "./texts/en.ts";
import { guideTextZh } from "./texts/guides.zh.ts";

/** Of a key's form: guides are made with it, and the page's script puts the visitor's key in its place. */
export const KEY_PLACEHOLDER = "yourkeyyourkeyyourkeyyourkeyyour";

interface ClientGuideProps {
  visit: Visit;
  config: SiteConfig;
  client: ClientName;
}

export const ClientGuide: FC<ClientGuideProps> = ({ visit, config, client }) => {
  const { texts, origin } = visit;
  const request: GuideRequest = {
    mirror: origin,
    domain: config.domain,
    upstreams: null,
    key: config.access === "keys" ? KEY_PLACEHOLDER : null,
    shape: null,
  };
  const titles = Object.entries(CLIENTS).map(([name, guide]) => ({ name, title: guide(request).title }));
  return (
    <section class="block" id="configure" aria-labelledby="configure-heading">
      <div class="about">
        <h2 id="configure-heading">{texts.clients.heading}</h2>
        <p>{texts.clients.lead}</p>
      </div>
      <div class="work">
        <form action="/#configure" method="get" id="pick">
          <label for="client">{texts.clients.label}</label>
          <span class="pick">
            <select id="client" name="client">
              {titles.map(({ name, title }) => (
                <option value={name} selected={name === client}>
                  {said(title, texts) ?? title}
                </option>
              ))}
            </select>
            <button type="submit">{texts.clients.show}</button>
          </span>
        </form>
        <div id="guide" aria-live="polite">
          <GuideSteps guide={CLIENTS[client](request)} texts={texts} />
        </div>
      </div>
    </section>
  );
};

const GuideSteps: FC<{ guide: Guide; texts: Texts }> = ({ guide, texts }) => (
  <>
    <ol class="steps">
      {guide.steps.map((step) => (
        <li>
          <GuideStep step={step} texts={texts} />
        </li>
      ))}
    </ol>
    {guide.notes.length > 0 && (
      <details>
        <summary>{texts.clients.notes}</summary>
        <ul>
          {guide.notes.map((note) => (
            <li>
              <GuideText text={note} texts={texts} />
            </li>
          ))}
        </ul>
      </details>
    )}
  </>
);

const GuideStep: FC<{ step: Step; texts: Texts }> = ({ step, texts }) => (
  <>
    <p>
      <GuideText text={step.text} texts={texts} />
    </p>
    {step.file && (
      <>
        <p class="path">
          <code>{step.file.path}</code>
        </p>
        <Code text={step.file.content} copy={texts.copy} />
      </>
    )}
    {step.command !== undefined && <Code text={step.command} copy={texts.copy} />}
  </>
);

/** In the page's language, as far as it is translated; the rest is marked as English for screen readers. */
const GuideText: FC<{ text: string; texts: Texts }> = ({ text, texts }) => {
  const translated = said(text, texts);
  return translated === null ? (
    <span lang="en">
      <Marked text={text} />
    </span>
  ) : (
    <Marked text={translated} />
  );
};

function said(text: string, { language }: Texts): string | null {
  return language === "en" ? text : guideTextZh(text);
}
