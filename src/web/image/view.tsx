/** The page of an image. */
import type { FC } from "hono/jsx";
import type { ImageDetail } from "../../ledger/accounts.ts";
import type { Digest } from "../../oci/digest.ts";
import { bytesText, shortDigest, timeText } from "../format.ts";
import { Code } from "../layout.tsx";
import type { Visit } from "../site.ts";
import type { Texts } from "../texts/en.ts";
import { History, type TagHistoryView } from "./history.tsx";
import { LayerBar, Layers } from "./layers.tsx";
import { type ImageConfig, platformName, platformsOf, sizeOf } from "./model.ts";
import type { Part } from "./part.ts";
import type { Image, Listing, Referrer } from "./read.ts";
import { isLong, More, shortened, shownOf } from "./shown.tsx";
import { Space } from "./space.tsx";

export type Check = "same" | { other: string } | { unknown: string };

export interface ImageViewProps {
  visit: Visit;
  /** `docker.io/library/alpine`. */
  name: string;
  reference: string;
  /** How it is pulled from here. */
  mirrored: string;
  image: Image;
  stored: ReadonlyMap<Digest, boolean>;
  /** Where the image can be saved from; null for a visitor who may not. */
  save: string | null;
  tags: Part<Listing<string>>;
  /** The tag after which the tags' page starts. */
  after: string | null;
  referrers: Part<Referrer[]>;
  /** Null where it wasn't asked for. */
  check: Check | null;
  /** Null for a digest, and for hosted repositories, whose tags have none. */
  history: Part<TagHistoryView | null> | null;
  /** Null for everyone but the owner. */
  space: Part<ImageDetail | null> | null;
}

export const ImageView: FC<ImageViewProps> = (props) => {
  const {
    visit,
    name,
    reference,
    mirrored,
    image,
    stored,
    save,
    tags,
    after,
    referrers,
    check,
    history,
    space,
  } = props;
  const { texts } = visit;
  const separator = reference.includes(":") ? "@" : ":";
  const page = `/_/image/${name}`;
  return (
    <>
      <section class="hero plain">
        <div class="inner">
          <h1 class="reference">
            {name.split("/").map((part, at) => (
              <>
                {at > 0 && "/"}
                {at > 0 && <wbr />}
                {part}
              </>
            ))}
            <wbr />
            <span>
              {separator}
              {reference}
            </span>
          </h1>
          {image.warning !== null && <p class="problem">{image.warning}</p>}
          <Code text={`docker pull ${mirrored}`} copy={texts.copy} />
          <Facts image={image} texts={texts} />
          {separator === ":" && (
            <PublisherCheck address={`${page}:${reference}`} check={check} texts={texts} />
          )}
        </div>
      </section>
      <Platforms image={image} address={`${page}${separator}${reference}`} texts={texts} />
      {image.shown && image.layers.length > 0 && (
        <section class="block" aria-labelledby="layers">
          <div class="about">
            <h2 id="layers">{texts.image.layers}</h2>
            <p>{texts.image.totalOf(bytesText(sizeOf(image.layers)), image.layers.length)}</p>
            <p>{storedText(image, stored, texts)}</p>
            {save !== null &&
              (image.layers.every(({ digest }) => stored.get(digest)) ? (
                <p>
                  <a class="button" href={save} download>
                    {texts.image.save}
                  </a>
                </p>
              ) : (
                <p class="note">{texts.image.saveLater}</p>
              ))}
          </div>
          <div class="work">
            <LayerBar layers={image.layers} label={texts.image.picture} />
            <Layers layers={image.layers} stored={stored} texts={texts} />
          </div>
        </section>
      )}
      {image.config ? (
        <Config config={image.config} texts={texts} />
      ) : (
        <section class="block">
          <p class="note">{image.shown ? texts.image.artifact : texts.image.noImage}</p>
        </section>
      )}
      {history !== null && <History history={history} page={page} texts={texts} />}
      {space !== null && <Space space={space} texts={texts} />}
      <Referrers referrers={referrers} texts={texts} />
      <Tags tags={tags} page={page} after={after} current={reference} texts={texts} />
    </>
  );
};

const Facts: FC<{ image: Image; texts: Texts }> = ({ image, texts }) => {
  const detail = /detail=(\w+)/.exec(image.cacheStatus ?? "")?.[1] ?? "";
  const sources: Record<string, string> = texts.image.servedBy;
  const { config } = image;
  return (
    <dl class="facts">
      <dt>{texts.image.digest}</dt>
      <dd>
        <code>{image.digest}</code>
      </dd>
      <dt>{texts.image.type}</dt>
      <dd>
        <code>{image.mediaType}</code>
      </dd>
      {config?.created && (
        <>
          <dt>{texts.image.created}</dt>
          <dd>{timeText(config.created)}</dd>
        </>
      )}
      {config?.author && (
        <>
          <dt>{texts.image.author}</dt>
          <dd>{config.author}</dd>
        </>
      )}
      {sources[detail] !== undefined && (
        <>
          <dt>{texts.image.served}</dt>
          <dd>{sources[detail]}</dd>
        </>
      )}
    </dl>
  );
};

const PublisherCheck: FC<{ address: string; check: Check | null; texts: Texts }> = ({
  address,
  check,
  texts,
}) => {
  const { checked } = texts.image;
  if (check === null) {
    return (
      <p>
        <a class="button" href={`${address}?check`} rel="nofollow">
          {texts.image.check}
        </a>
      </p>
    );
  }
  if (check === "same") return <p class="good">{checked.same}</p>;
  const text =
    "other" in check ? checked.other(check.other) : checked.unknown(check.unknown || checked.silent);
  return <p class="problem">{text}</p>;
};

const Platforms: FC<{ image: Image; address: string; texts: Texts }> = ({ image, address, texts }) => {
  const entries = platformsOf(image.top).filter(({ platform }) => !isLong(platformName(platform)));
  if (entries.length === 0) return null;
  return (
    <section class="block" aria-labelledby="platforms">
      <div class="about">
        <h2 id="platforms">{texts.image.platforms}</h2>
      </div>
      <div class="work">
        <ul class="chips">
          {shownOf(entries).map(({ platform, digest }) => {
            const name = platformName(platform);
            const isShown = digest === image.shown?.digest;
            return (
              <li>
                <a
                  href={`${address}?platform=${encodeURIComponent(name.toWellFormed())}`}
                  aria-current={isShown ? "true" : undefined}
                >
                  {name}
                </a>
              </li>
            );
          })}
        </ul>
        <More of={entries} texts={texts} />
      </div>
    </section>
  );
};

function storedText({ layers }: Image, stored: ReadonlyMap<Digest, boolean>, texts: Texts): string {
  const here = layers.filter(({ digest }) => stored.get(digest) === true);
  return texts.image.storedShare(bytesText(sizeOf(here)), bytesText(sizeOf(layers)));
}

const Config: FC<{ config: ImageConfig; texts: Texts }> = ({ config, texts }) => (
  <section class="block" aria-labelledby="config">
    <div class="about">
      <h2 id="config">{texts.image.config}</h2>
    </div>
    <div class="work">
      <dl class="facts">
        {config.settings.map(({ name, values }) => (
          <>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>
              {shownOf(values).map((value) => (
                <code class="value">{value}</code>
              ))}
              <More of={values} texts={texts} />
            </dd>
          </>
        ))}
      </dl>
      {config.labels.length > 0 && (
        <details>
          <summary>{texts.image.labels}</summary>
          <dl class="facts">
            {shownOf(config.labels).map(([name, value]) => (
              <>
                <dt>
                  <code>{name}</code>
                </dt>
                <dd>{value}</dd>
              </>
            ))}
          </dl>
          <More of={config.labels} texts={texts} />
        </details>
      )}
      {config.history.length > 0 && (
        <details>
          <summary>
            {texts.image.history}, {texts.image.steps(config.history.length)}
          </summary>
          <ol class="history">
            {shownOf(config.history).map(({ command }) => (
              <li>
                <code>{command}</code>
              </li>
            ))}
          </ol>
          <More of={config.history} texts={texts} />
        </details>
      )}
    </div>
  </section>
);

const Referrers: FC<{ referrers: Part<Referrer[]>; texts: Texts }> = ({ referrers, texts }) => (
  <section class="block" aria-labelledby="referrers">
    <div class="about">
      <h2 id="referrers">{texts.image.referrers}</h2>
    </div>
    <div class="work">
      {"failure" in referrers ? (
        <p class="note">{texts.image.unread(referrers.failure)}</p>
      ) : referrers.value.length === 0 ? (
        <p class="note">{texts.image.noReferrers}</p>
      ) : (
        <>
          <ul class="rows">
            {shownOf(referrers.value).map(({ digest, type, size }) => (
              <li>
                <code>{shortDigest(digest)}</code>
                <span>{shortened(type)}</span>
                <span class="number">{bytesText(size)}</span>
              </li>
            ))}
          </ul>
          <More of={referrers.value} texts={texts} />
        </>
      )}
    </div>
  </section>
);

interface TagsProps {
  tags: Part<Listing<string>>;
  page: string;
  after: string | null;
  current: string;
  texts: Texts;
}

const Tags: FC<TagsProps> = ({ tags, page, after, current, texts }) => (
  <section class="block" aria-labelledby="tags">
    <div class="about">
      <h2 id="tags">{texts.image.tags}</h2>
    </div>
    <div class="work">
      {"failure" in tags ? (
        <p class="note">{texts.image.unread(tags.failure)}</p>
      ) : (
        <>
          <p class="filter" hidden>
            <label for="filter">{texts.image.filter}</label>
            <input id="filter" type="search" autocomplete="off" spellcheck={false} />
          </p>
          <ul class="chips" id="tag-list">
            {tags.value.entries.map((tag) => (
              <li>
                <a href={`${page}:${tag}`} aria-current={tag === current ? "true" : undefined}>
                  {tag}
                </a>
              </li>
            ))}
          </ul>
          <p>
            {after !== null && <a href={`${page}:${current}#tags`}>{texts.image.firstTags}</a>}{" "}
            {tags.value.next !== null && (
              <a href={`${page}:${current}?after=${encodeURIComponent(tags.value.next)}#tags`}>
                {texts.image.moreTags}
              </a>
            )}
          </p>
        </>
      )}
    </div>
  </section>
);
