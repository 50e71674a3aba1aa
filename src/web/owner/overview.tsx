/** The first section of the owner's page: what was served, the upstreams and the ways to them, errors, and what is pulled most. */
import type { FC } from "hono/jsx";
import { type Activity, NO_ACTIVITY } from "../../ledger/activity.ts";
import { tightQuotas } from "../../ledger/quotas.ts";
import { summaryOf } from "../../ledger/summary.ts";
import type { Relay } from "../../upstream/relays.ts";
import { bytesText, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { Gauge, TrafficChart } from "./charts.tsx";
import { barsOf, type ErrorGroup, errorsOf, mostPulled } from "./figures.ts";
import { Block, Figures, ImageLink, Rows } from "./parts.tsx";
import { Remedy } from "./remedies.tsx";
import { pathOf, type SectionView } from "./section.ts";

/** The times that can be chosen, in hours. */
const RANGES = [24, 7 * 24, 30 * 24] as const;
const HOUR = 3_600_000;
/** Bars of the chart: one for each half hour of a day. */
const BARS = 48;

export const overview: SectionView = async ({ services, visit, c, parts }) => {
  const { ledger, now, upstream, config } = services;
  const { texts } = visit;
  const { owner } = texts;
  const range = RANGES.find((hours) => String(hours) === c.req.query("hours")) ?? 24;
  const since = now() - range * HOUR;
  const [usage, traffic, counted, index, activity] = await Promise.all([
    services.hasQuotas ? parts.read("ledger", ledger.usage(now()), null) : null,
    parts.read("ledger", ledger.since(since), []),
    parts.read("ledger", ledger.counted(), { at: null, stored: [], evicted: 0 }),
    parts.read("ledger", ledger.index(), { uses: [] }),
    parts.read("ledger", ledger.activity(), NO_ACTIVITY),
  ]);
  const tight = usage ? tightQuotas(usage).map((each) => owner.quotas[each]) : [];
  const summary = summaryOf(traffic);
  const used = counted.stored.reduce((sum, { bytes }) => sum + bytes, 0);
  const limit = config.cacheLimit;
  const usedText = owner.stored(bytesText(used), bytesText(limit), Math.round((used / limit) * 100));
  return (
    <>
      <section class="block" aria-label={owner.served}>
        {tight.length > 0 && (
          <p class="problem" role="status">
            {owner.tightQuotas(tight)}
          </p>
        )}
        <ul class="chips">
          {RANGES.map((hours) => (
            <li>
              <a href={`/_/owner?hours=${hours}`} aria-current={hours === range ? "true" : undefined}>
                {owner.range(hours)}
              </a>
            </li>
          ))}
        </ul>
        <Figures
          figures={[
            [owner.hitRatio, summary.hitRatio === null ? "–" : `${Math.round(summary.hitRatio * 100)} %`],
            [owner.bytesServed, bytesText(summary.bytes)],
            [owner.bytesSaved, bytesText(summary.bytesSaved)],
            [owner.requests, summary.requests.toLocaleString("en")],
            [owner.failures, summary.errors.toLocaleString("en")],
          ]}
        />
        <TrafficChart bars={barsOf(traffic, since, now(), BARS)} texts={texts} />
      </section>
      <Block id="store" heading={owner.store}>
        {counted.at === null ? (
          <p class="note">{owner.notCounted}</p>
        ) : (
          <>
            <p>{usedText}</p>
            <Gauge
              shares={[{ kind: "depth-4", name: owner.store, bytes: used }]}
              limit={limit}
              label={usedText}
            />
            <p class="note">
              {owner.countedAt(timeText(counted.at))} {owner.evicted(bytesText(counted.evicted))}{" "}
              <a href={pathOf("store")}>{owner.leavesNext}</a>
            </p>
          </>
        )}
      </Block>
      <Upstreams
        texts={texts}
        endpoints={upstream.endpoints()}
        activity={activity}
        relays={config.relays}
        hasProxies={Object.values(config.proxies).some(Boolean)}
      />
      <Errors errors={errorsOf(traffic)} texts={texts} docs={config.docs} />
      <Block id="pulled" heading={owner.pulled} lead={owner.pulledLead}>
        <Rows
          none={owner.nothingPulled}
          rows={mostPulled(index.uses).map(({ source, hours, last }) => [
            <ImageLink name={source} />,
            <span class="number">{owner.hours(hours)}</span>,
            <span class="note">{timeText(last)}</span>,
          ])}
        />
      </Block>
    </>
  );
};

interface UpstreamsProps {
  texts: Texts;
  endpoints: readonly { url: string; downFor: number; limitedFor: number }[];
  activity: Activity;
  relays: readonly Relay[];
  hasProxies: boolean;
}

const Upstreams: FC<UpstreamsProps> = ({ texts: { owner }, endpoints, activity, relays, hasProxies }) => {
  const wayTo = (url: string) => {
    const relay = relays.find((each) => url.startsWith(each.url.origin));
    return relay ? owner.way.relay(relay.when === "always") : hasProxies ? owner.way.proxy : owner.way.direct;
  };
  const lastSuccess = (url: string) =>
    activity.upstream.find(({ endpoint, outcome }) => endpoint === url && outcome === "ok")?.last;
  return (
    <Block id="upstreams" heading={owner.upstreams} lead={owner.upstreamsLead}>
      <Rows
        none={owner.noUpstreams}
        rows={endpoints.map(({ url, downFor, limitedFor }) => {
          const last = lastSuccess(url);
          return [
            downFor > 0 ? (
              <span class="problem">{owner.down(downFor)}</span>
            ) : limitedFor > 0 ? (
              <span class="problem">{owner.limited(limitedFor)}</span>
            ) : (
              <span class="good">{owner.up}</span>
            ),
            <code>{url}</code>,
            <span class="note">{wayTo(url)}</span>,
            last !== undefined && <span class="note">{owner.lastSuccess(timeText(last))}</span>,
          ];
        })}
      />
      {activity.remaining.map(({ upstream, login, pulls, at }) => (
        <p class="note">{owner.remaining(upstream, login, pulls, timeText(at))}</p>
      ))}
    </Block>
  );
};

const Errors: FC<{ errors: readonly ErrorGroup[]; texts: Texts; docs: URL | null }> = (props) => {
  const { owner } = props.texts;
  return (
    <Block id="errors" heading={owner.errors}>
      <Rows
        none={owner.noErrors}
        rows={props.errors.map(({ upstream, status, requests, last }) => [
          <strong class="number">
            {requests.toLocaleString("en")} × {status}
          </strong>,
          <code>{upstream === "" ? owner.noUpstream : upstream}</code>,
          <span class="note">{owner.lastly(timeText(last))}</span>,
          <Remedy status={status} texts={props.texts} docs={props.docs} />,
        ])}
      />
    </Block>
  );
};
