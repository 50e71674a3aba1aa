/** The owner's page: what the mirror does, and what can be done about it. */
import type { Child, FC } from "hono/jsx";
import type { Activity } from "../../ledger/activity.ts";
import type { Counted } from "../../ledger/held.ts";
import type { ListedKey } from "../../ledger/managed-keys.ts";
import type { Part } from "../../ledger/parts.ts";
import type { Recalled } from "../../ledger/recalls.ts";
import type { Summary } from "../../ledger/summary.ts";
import { bytesText, shortDigest, timeText } from "../format.ts";
import { Code } from "../layout.tsx";
import type { Visit } from "../site.ts";
import type { Texts } from "../texts/en.ts";
import { Gauge, TrafficChart } from "./charts.tsx";
import type { Bar, ErrorGroup, mostPulled } from "./figures.ts";

/** The times that can be chosen, in hours. */
export const RANGES = [24, 7 * 24, 30 * 24] as const;
export type Range = (typeof RANGES)[number];

export interface OwnerViewProps {
  visit: Visit;
  /** What can't be read, and is shown as nothing. */
  missing: readonly Part[];
  range: Range;
  summary: Summary;
  bars: readonly Bar[];
  errors: readonly ErrorGroup[];
  pulled: ReturnType<typeof mostPulled>;
  counted: Counted;
  limit: number;
  endpoints: readonly { url: string; downFor: number; limitedFor: number }[];
  remaining: Activity["remaining"];
  /** Null where the mirror is open and takes none. */
  keys: readonly ListedKey[] | null;
  recalled: readonly Recalled[];
  /** What was just done, in words; a key that was made is shown this once. */
  done: { text: string; key?: string } | null;
}

export const OwnerView: FC<OwnerViewProps> = (props) => {
  const { visit, range, done } = props;
  const { texts } = visit;
  const { owner } = texts;
  return (
    <>
      <section class="hero plain">
        <div class="inner">
          <h1>{owner.heading}</h1>
          {props.missing.map((part) => (
            <p class="problem" role="alert">
              {owner.missing[part]}
            </p>
          ))}
          {done && (
            <div class="done" role="status">
              <p class="good">{done.text}</p>
              {done.key !== undefined && <Code text={done.key} copy={texts.copy} />}
            </div>
          )}
          <Figures {...props} />
          <div class="choose">
            <ul class="chips">
              {RANGES.map((hours) => (
                <li>
                  <a href={`/_/owner?hours=${hours}`} aria-current={hours === range ? "true" : undefined}>
                    {owner.range(hours)}
                  </a>
                </li>
              ))}
            </ul>
            <form method="post" action="/_/session">
              <input type="hidden" name="out" value="" />
              <button type="submit" class="quiet">
                {texts.session.out}
              </button>
            </form>
          </div>
        </div>
      </section>
      <Block id="served" heading={owner.served}>
        <TrafficChart bars={props.bars} texts={texts} />
      </Block>
      <Store {...props} />
      <Upstreams {...props} />
      <Errors {...props} />
      <Block id="pulled" heading={owner.pulled} lead={owner.pulledLead}>
        <Rows
          none={owner.nothingPulled}
          rows={props.pulled.map(({ source, hours, last }) => [
            <a href={`/_/image/${source}`}>{source}</a>,
            <span class="number">{owner.hours(hours)}</span>,
            <span class="note">{timeText(last)}</span>,
          ])}
        />
      </Block>
      <Images texts={texts} />
      <Recalls {...props} />
      {props.keys && <Keys keys={props.keys} texts={texts} />}
    </>
  );
};

export const Block: FC<{ id: string; heading: string; lead?: string; children?: Child }> = ({
  id,
  heading,
  lead,
  children,
}) => (
  <section class="block" aria-labelledby={id}>
    <div class="about">
      <h2 id={id}>{heading}</h2>
      {lead !== undefined && <p>{lead}</p>}
    </div>
    <div class="work">{children}</div>
  </section>
);

const Rows: FC<{ rows: readonly Child[][]; none: string }> = ({ rows, none }) =>
  rows.length === 0 ? (
    <p class="note">{none}</p>
  ) : (
    <ul class="rows">
      {rows.map((cells) => (
        <li>{cells}</li>
      ))}
    </ul>
  );

const Figures: FC<OwnerViewProps> = ({ visit: { texts }, summary }) => {
  const { owner } = texts;
  const figures = [
    [owner.hitRatio, summary.hitRatio === null ? "–" : `${Math.round(summary.hitRatio * 100)} %`],
    [owner.bytesServed, bytesText(summary.bytes)],
    [owner.bytesSaved, bytesText(summary.bytesSaved)],
    [owner.requests, summary.requests.toLocaleString("en")],
    [owner.failures, summary.errors.toLocaleString("en")],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => (
        <div>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
};

const Store: FC<OwnerViewProps> = ({ visit: { texts }, counted, limit }) => {
  const { owner } = texts;
  const used = counted.stored.reduce((sum, { bytes }) => sum + bytes, 0);
  const text = owner.stored(bytesText(used), bytesText(limit), Math.round((used / Math.max(limit, 1)) * 100));
  return (
    <Block id="store" heading={owner.store}>
      {counted.at === null ? (
        <p class="note">{owner.notCounted}</p>
      ) : (
        <>
          <p>{text}</p>
          <Gauge used={used} limit={limit} label={text} />
          <p class="note">
            {owner.countedAt(timeText(counted.at))} {owner.evicted(bytesText(counted.evicted))}
          </p>
        </>
      )}
    </Block>
  );
};

const Upstreams: FC<OwnerViewProps> = ({ visit: { texts }, endpoints, remaining }) => {
  const { owner } = texts;
  return (
    <Block id="upstreams" heading={owner.upstreams} lead={owner.upstreamsLead}>
      <Rows
        none={owner.noUpstreams}
        rows={endpoints.map(({ url, downFor, limitedFor }) => [
          <code>{url}</code>,
          downFor > 0 ? (
            <span class="problem">{owner.down(downFor)}</span>
          ) : limitedFor > 0 ? (
            <span class="problem">{owner.limited(limitedFor)}</span>
          ) : (
            <span class="good">{owner.up}</span>
          ),
        ])}
      />
      {remaining.map(({ upstream, login, pulls, at }) => (
        <p class="note">{owner.remaining(upstream, login, pulls, timeText(at))}</p>
      ))}
    </Block>
  );
};

const Errors: FC<OwnerViewProps> = ({ visit: { texts }, errors }) => {
  const { owner } = texts;
  return (
    <Block id="errors" heading={owner.errors}>
      <Rows
        none={owner.noErrors}
        rows={errors.map(({ upstream, status, requests }) => [
          <span class="number">
            {requests.toLocaleString("en")} × {status}
          </span>,
          <code>{upstream === "" ? owner.noUpstream : upstream}</code>,
          <span class="wide">{owner.remedy[String(status)] ?? owner.otherRemedy}</span>,
        ])}
      />
    </Block>
  );
};

const Images: FC<{ texts: Texts }> = ({ texts: { owner } }) => (
  <Block id="images" heading={owner.images} lead={owner.imagesLead}>
    <form method="post" action="/_/owner">
      <label for="image">{owner.image}</label>
      <input
        id="image"
        name="image"
        required
        maxlength={600}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        placeholder="docker.io/library/nginx:1.27"
      />
      <p class="actions">
        <button type="submit" name="action" value="warm">
          {owner.warm}
        </button>
        <button type="submit" name="action" value="purge" class="quiet">
          {owner.purge}
        </button>
      </p>
    </form>
  </Block>
);

const Recalls: FC<OwnerViewProps> = ({ visit: { texts }, recalled }) => {
  const { owner } = texts;
  return (
    <Block id="recalls" heading={owner.recalls} lead={owner.recallsLead}>
      <form method="post" action="/_/owner">
        <label for="digest">{texts.image.digest}</label>
        <input
          id="digest"
          name="digest"
          required
          maxlength={200}
          autocomplete="off"
          spellcheck={false}
          placeholder="sha256:…"
        />
        <label for="reason" class="second">
          {owner.reason}
        </label>
        <input id="reason" name="reason" maxlength={200} autocomplete="off" />
        <p class="actions">
          <button type="submit" name="action" value="recall">
            {owner.recall}
          </button>
        </p>
      </form>
      <Rows
        none={owner.noRecalls}
        rows={recalled.map(({ digest, reason, at }) => [
          <code title={digest}>{shortDigest(digest)}</code>,
          <span>{reason}</span>,
          <span class="note">{timeText(at)}</span>,
          <Action
            action="undo"
            name="digest"
            value={digest}
            text={owner.undo}
            label={`${owner.undo} ${shortDigest(digest)}`}
          />,
        ])}
      />
    </Block>
  );
};

const Keys: FC<{ keys: readonly ListedKey[]; texts: Texts }> = ({ keys, texts: { owner } }) => (
  <Block id="keys" heading={owner.keys} lead={owner.keysLead}>
    <form method="post" action="/_/owner">
      <label for="key-name">{owner.keyName}</label>
      <input
        id="key-name"
        name="name"
        required
        maxlength={64}
        autocomplete="off"
        spellcheck={false}
        placeholder="laptop"
      />
      <label for="allow" class="second">
        {owner.allow}
      </label>
      <input
        id="allow"
        name="allow"
        maxlength={1000}
        autocomplete="off"
        spellcheck={false}
        placeholder="docker.io/library/*, ghcr.io/*"
      />
      <p class="actions">
        <button type="submit" name="action" value="key">
          {owner.makeKey}
        </button>
      </p>
    </form>
    <Rows
      none={owner.noKeys}
      rows={keys.map(({ name, allow, expires, from }) => [
        <strong>{name}</strong>,
        allow.length === 0 ? <span>{owner.allowsAll}</span> : <code>{allow.join(", ")}</code>,
        expires === null ? "" : <span class="note">{owner.until(timeText(expires))}</span>,
        from === "mirror" ? (
          <Action
            action="revoke"
            name="name"
            value={name}
            text={owner.revoke}
            label={`${owner.revoke} ${name}`}
          />
        ) : (
          <span class="note">{owner.configured}</span>
        ),
      ])}
    />
  </Block>
);

/** A button that does one thing to one entry of a list. */
const Action: FC<{ action: string; name: string; value: string; text: string; label: string }> = (props) => (
  <form method="post" action="/_/owner">
    <input type="hidden" name={props.name} value={props.value} />
    <button type="submit" name="action" value={props.action} class="quiet" aria-label={props.label}>
      {props.text}
    </button>
  </form>
);
