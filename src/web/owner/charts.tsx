/** Charts, as SVG with their numbers in words beside them. */
import type { FC } from "hono/jsx";
import { bytesText, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import type { Bar } from "./figures.ts";

const WIDTH = 960;
const HEIGHT = 200;

/** What was served, by where it came from: the mirror's own above what upstream sent. */
export const TrafficChart: FC<{ bars: readonly Bar[]; texts: Texts }> = ({ bars, texts }) => {
  const { owner } = texts;
  const highest = Math.max(...bars.map(({ own, upstream }) => own + upstream), 1);
  const step = WIDTH / bars.length;
  const height = (bytes: number) => (bytes / highest) * HEIGHT;
  const total = (part: "own" | "upstream") => bytesText(bars.reduce((sum, bar) => sum + bar[part], 0));
  return (
    <figure>
      <svg
        class="chart"
        viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={owner.chartText(total("own"), total("upstream"))}
      >
        {[0.25, 0.5, 0.75].map((part) => (
          <line x1="0" x2={WIDTH} y1={HEIGHT * part} y2={HEIGHT * part} />
        ))}
        {bars.map(({ own, upstream }, at) => {
          const x = (at * step + 1).toFixed(1);
          const width = (step - 2).toFixed(1);
          const [below, above] = [height(upstream), height(own)];
          return (
            <>
              {below > 0 && (
                <rect
                  class="depth-2"
                  x={x}
                  width={width}
                  y={(HEIGHT - below).toFixed(1)}
                  height={below.toFixed(1)}
                />
              )}
              {above > 0 && (
                <rect
                  class="depth-4"
                  x={x}
                  width={width}
                  y={(HEIGHT - below - above).toFixed(1)}
                  height={above.toFixed(1)}
                />
              )}
            </>
          );
        })}
        <line class="ground" x1="0" x2={WIDTH} y1={HEIGHT} y2={HEIGHT} />
      </svg>
      <figcaption>
        <span>{timeText(bars[0]?.start ?? 0)}</span>
        <span class="key">
          <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
            <rect class="depth-4" width="10" height="10" />
          </svg>
          {owner.fromHere}
          <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
            <rect class="depth-2" width="10" height="10" />
          </svg>
          {owner.fromUpstream}
        </span>
        <span>{owner.highest(bytesText(highest === 1 ? 0 : highest))}</span>
      </figcaption>
    </figure>
  );
};

/** How much of a limit is used. */
export const Gauge: FC<{ used: number; limit: number; label: string }> = ({ used, limit, label }) => (
  <svg class="picture gauge" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={label}>
    <rect class="rest" width="1000" height="10" />
    <rect class="depth-4" width={Math.min(1000, (used / Math.max(limit, 1)) * 1000).toFixed(1)} height="10" />
  </svg>
);
