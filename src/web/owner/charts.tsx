/** Charts, as SVG with their axes and numbers as text beside them. */
import type { Child, FC } from "hono/jsx";
import { bytesText, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import type { Bar } from "./figures.ts";

const WIDTH = 960;
const HEIGHT = 200;
/** Labels of the axis of time. */
const TICKS = 5;

/** What was served, by where it came from: the mirror's own above what upstream sent. */
export const TrafficChart: FC<{ bars: readonly Bar[]; texts: Texts }> = ({ bars, texts }) => {
  const { owner } = texts;
  const total = (part: "own" | "upstream") => bytesText(bars.reduce((sum, bar) => sum + bar[part], 0));
  const top = roundUp(Math.max(...bars.map(({ own, upstream }) => own + upstream)));
  if (top === 0) return <p class="note">{owner.nothingServed}</p>;
  const step = WIDTH / bars.length;
  const height = (bytes: number) => (bytes / top) * HEIGHT;
  const rect = (kind: string, at: number, bytes: number, below: number) => (
    <rect
      class={kind}
      x={(at * step + 1).toFixed(1)}
      width={(step - 2).toFixed(1)}
      y={(HEIGHT - height(below + bytes)).toFixed(1)}
      height={height(bytes).toFixed(1)}
    />
  );
  return (
    <figure class="chart">
      <div class="scale" aria-hidden="true">
        {[top, top / 2, 0].map((bytes) => (
          <span>{bytesText(bytes)}</span>
        ))}
      </div>
      <svg
        viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={owner.chartText(total("own"), total("upstream"))}
      >
        {[0, 0.5].map((part) => (
          <line x1="0" x2={WIDTH} y1={HEIGHT * part} y2={HEIGHT * part} />
        ))}
        {bars.map(
          ({ start, own, upstream }, at) =>
            own + upstream > 0 && (
              <g>
                <title>{`${timeText(start)}: ${owner.chartText(bytesText(own), bytesText(upstream))}`}</title>
                {upstream > 0 && rect("depth-2", at, upstream, 0)}
                {own > 0 && rect("depth-4", at, own, upstream)}
              </g>
            ),
        )}
        <line class="ground" x1="0" x2={WIDTH} y1={HEIGHT} y2={HEIGHT} />
      </svg>
      <div class="times" aria-hidden="true">
        {ticksOf(bars).map((time) => (
          <span>{time}</span>
        ))}
      </div>
      <figcaption>
        <Legend kind="depth-4">{`${owner.fromHere}: ${total("own")}`}</Legend>
        <Legend kind="depth-2">{`${owner.fromUpstream}: ${total("upstream")}`}</Legend>
      </figcaption>
    </figure>
  );
};

/** Times of the axis: hours within two days, else days. */
function ticksOf(bars: readonly Bar[]): string[] {
  const [first, second] = bars;
  if (!first || !second) return [];
  const span = (second.start - first.start) * bars.length;
  return Array.from({ length: TICKS }, (_, at) => {
    const text = new Date(first.start + (span * at) / (TICKS - 1)).toISOString();
    return span > 2 * 86_400_000 ? text.slice(5, 10) : text.slice(11, 16);
  });
}

/** To one or two digits, so that an axis has round numbers. */
export function roundUp(value: number): number {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8].find((digit) => value <= digit * power) ?? 10) * power;
}

export interface Share {
  kind: "depth-1" | "depth-2" | "depth-3" | "depth-4" | "depth-5";
  name: string;
  bytes: number;
}

/** How much of a limit is used, and by what. */
export const Gauge: FC<{ shares: readonly Share[]; limit: number; label: string }> = (props) => {
  const whole = Math.max(
    props.limit,
    props.shares.reduce((sum, { bytes }) => sum + bytes, 0),
    1,
  );
  let x = 0;
  return (
    <figure>
      <svg
        class="picture gauge"
        viewBox="0 0 1000 10"
        preserveAspectRatio="none"
        role="img"
        aria-label={props.label}
      >
        <rect class="rest" width="1000" height="10" />
        {props.shares.map(({ kind, bytes }) => {
          const width = (bytes / whole) * 1000;
          x += width;
          return <rect class={kind} x={(x - width).toFixed(1)} width={width.toFixed(1)} height="10" />;
        })}
      </svg>
      {props.shares.length > 1 && (
        <figcaption>
          {props.shares
            .filter(({ bytes }) => bytes > 0)
            .map(({ kind, name, bytes }) => (
              <Legend kind={kind}>{`${name}: ${bytesText(bytes)}`}</Legend>
            ))}
        </figcaption>
      )}
    </figure>
  );
};

const Legend: FC<{ kind: string; children?: Child }> = ({ kind, children }) => (
  <span class="legend">
    <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
      <rect class={kind} width="10" height="10" />
    </svg>
    {children}
  </span>
);
