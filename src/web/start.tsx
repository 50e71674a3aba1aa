/** The page at `/`: what this is and whose, the line to copy, images by way of this mirror, and clients' configuration. */
import type { FC } from "hono/jsx";
import type { ClientName } from "../guides/clients.ts";
import type { PublicSummary } from "../ledger/public-summary.ts";
import { ClientGuide, KEY_PLACEHOLDER } from "./client-guide.tsx";
import { bytesText } from "./format.ts";
import { Rhumbs } from "./icons.tsx";
import { Code, Marked } from "./layout.tsx";
import { Figures } from "./owner/parts.tsx";
import { mirrorPrefix } from "./references/reference.ts";
import type { SiteConfig, Visit } from "./site.ts";
import type { Texts } from "./texts/en.ts";

interface StartProps {
  visit: Visit;
  config: SiteConfig;
  /** Whether a keyed mirror has keys. */
  hasKeys: boolean;
  client: ClientName;
  /** Null where the owner doesn't want it shown, or it can't be read. */
  summary: PublicSummary | null;
}

export const Start: FC<StartProps> = ({ visit, config, hasKeys, client, summary }) => {
  const { texts, origin, names } = visit;
  const { access, owner } = config;
  const isClosed = access === "keys" && !hasKeys;
  return (
    <>
      <section class="hero">
        <Rhumbs />
        <div class="inner">
          <h1>{origin.host}</h1>
          <p class="lead">{texts.start.what(owner)}</p>
          <p>{texts.start.tryIt}</p>
          <Code text={firstLines(visit, access)} copy={texts.copy} />
          <p class="access">
            {isClosed ? (
              <Marked text={texts.start.closed} />
            ) : access === "open" ? (
              texts.start.open
            ) : (
              texts.start.keyed
            )}
          </p>
        </div>
      </section>
      {summary && <Summary {...summary} texts={texts} />}
      <Convert visit={visit} />
      <Inspect visit={visit} />
      {access === "keys" && <KeyField visit={visit} />}
      <ClientGuide visit={visit} config={config} client={client} />
    </>
  );

  function firstLines({ origin }: Visit, access: SiteConfig["access"]): string {
    const pull = `docker pull ${mirrorPrefix("docker.io", names) ?? origin.host}/library/alpine`;
    return access === "open" ? pull : `docker login ${origin.host}\n${pull}`;
  }
};

const Summary: FC<PublicSummary & { texts: Texts }> = ({ hitRatio, bytesSaved, stored, texts }) => (
  <section class="block" aria-labelledby="summary">
    <h2 id="summary">{texts.start.summary}</h2>
    <Figures
      figures={[
        [texts.owner.hitRatio, hitRatio === null ? "–" : `${Math.round(hitRatio * 100)} %`],
        [texts.owner.bytesSaved, bytesText(bytesSaved)],
        [texts.owner.store, stored === null ? "–" : bytesText(stored)],
      ]}
    />
  </section>
);

const Convert: FC<{ visit: Visit }> = ({ visit: { texts, names } }) => {
  const { convert } = texts;
  const said = {
    copy: texts.copy,
    none: convert.none,
    tooLong: convert.tooLong,
    notServed: convert.notServed,
    already: convert.already,
    found: [convert.found(1), convert.found(0).replace("0", "#")],
    inspect: convert.inspect,
    whole: convert.whole,
  };
  return (
    <section
      class="block"
      id="convert"
      aria-labelledby="convert-heading"
      data-names={JSON.stringify(names)}
      data-texts={JSON.stringify(said)}
    >
      <div class="about">
        <h2 id="convert-heading">{convert.heading}</h2>
        <p>{convert.lead}</p>
      </div>
      <div class="work">
        <noscript>
          <p class="note">{convert.noScript}</p>
        </noscript>
        <label for="pasted">{convert.label}</label>
        <textarea
          id="pasted"
          rows={6}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="nginx:1.27"
        ></textarea>
        <p class="examples">
          <span>{convert.examples}</span>
          {EXAMPLES.map(([name, text]) => (
            <button type="button" data-example={text}>
              {convert.example[name]}
            </button>
          ))}
        </p>
        <p class="count" role="status" id="found"></p>
        <div id="results"></div>
      </div>
    </section>
  );
};

const EXAMPLES = [
  ["name", "ghcr.io/astral-sh/uv:latest"],
  ["command", "docker run -d -p 8080:80 --name web nginx:1.27-alpine"],
  [
    "compose",
    "services:\n  app:\n    image: ghcr.io/immich-app/immich-server:release\n  db:\n    image: postgres:17\n  cache:\n    image: valkey/valkey:8-alpine\n",
  ],
  [
    "dockerfile",
    "FROM golang:1.24 AS build\nCOPY . .\nRUN go build -o /app .\n\nFROM gcr.io/distroless/static\nCOPY --from=build /app /app\n",
  ],
] as const;

const Inspect: FC<{ visit: Visit }> = ({ visit: { texts } }) => (
  <section class="block" aria-labelledby="inspect-heading">
    <div class="about">
      <h2 id="inspect-heading">{texts.image.heading}</h2>
      <p>{texts.image.lead}</p>
    </div>
    <form class="work" action="/_/image" method="get">
      <label for="name">{texts.image.label}</label>
      <span class="pick">
        <input
          id="name"
          name="name"
          required
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="nginx:1.27"
        />
        <button type="submit">{texts.image.show}</button>
      </span>
    </form>
  </section>
);

const KeyField: FC<{ visit: Visit }> = ({ visit: { texts } }) => (
  <section class="block" aria-labelledby="key-label">
    <div class="about">
      <h2>
        <label id="key-label" for="key">
          {texts.key.label}
        </label>
      </h2>
    </div>
    <div class="work">
      <input
        id="key"
        type="password"
        autocomplete="off"
        spellcheck={false}
        maxlength={64}
        aria-describedby="key-hint key-invalid"
        data-placeholder={KEY_PLACEHOLDER}
      />
      <p id="key-hint" class="note">
        {texts.key.hint}
      </p>
      <p id="key-invalid" class="problem" role="status" data-text={texts.key.invalid}></p>
    </div>
  </section>
);
