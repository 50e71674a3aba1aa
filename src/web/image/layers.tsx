/** An image's layers: as shares of one bar, and one by one. */
import type { FC } from "hono/jsx";
import type { Digest } from "../../oci/digest.ts";
import { bytesText, shortDigest } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { type Layer, sizeOf } from "./model.ts";
import { More, shownOf } from "./shown.tsx";

/** The picture's width in its own units. */
const WIDTH = 1000;
/** Units between two layers. */
const GAP = 2;

/** The shares of the whole, as depths of a chart: the larger, the deeper. Layers too thin to be seen are left out. */
export const LayerBar: FC<{ layers: readonly Layer[]; label: string }> = ({ layers, label }) => {
  const all = sizeOf(layers) || 1;
  let x = 0;
  const parts = layers.flatMap(({ size }) => {
    const width = (size / all) * WIDTH;
    const part = { x, width: width - GAP, depth: depthOf(size / all) };
    x += width;
    return part.width > 0.5 ? [part] : [];
  });
  return (
    <svg class="picture" viewBox={`0 0 ${WIDTH} 40`} preserveAspectRatio="none" role="img" aria-label={label}>
      {parts.map(({ x, width, depth }) => (
        <rect x={x.toFixed(1)} y="0" width={width.toFixed(1)} height="40" class={`depth-${depth}`} />
      ))}
    </svg>
  );
};

function depthOf(share: number): number {
  if (share < 0.02) return 1;
  if (share < 0.1) return 2;
  if (share < 0.25) return 3;
  return share < 0.5 ? 4 : 5;
}

interface LayersProps {
  layers: readonly Layer[];
  stored: ReadonlyMap<Digest, boolean>;
  texts: Texts;
}

export const Layers: FC<LayersProps> = ({ layers, stored, texts }) => {
  const all = sizeOf(layers) || 1;
  const largest = layers.reduce((most, { size }) => Math.max(most, size), 1);
  const { image } = texts;
  return (
    <>
      <ol class="layers">
        {shownOf(layers).map(({ digest, size, command }) => {
          const isStored = stored.get(digest);
          return (
            <li>
              <p class="made">
                <code>{command ?? shortDigest(digest)}</code>
              </p>
              <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                <rect
                  x="0"
                  y="0"
                  width={Math.max((size / largest) * 100, 0.4).toFixed(2)}
                  height="4"
                  class={`depth-${depthOf(size / all)}`}
                />
              </svg>
              <p class="facts-line">
                <span class="number">{bytesText(size)}</span>
                <span class={isStored ? "good" : "note"}>
                  {isStored === undefined ? image.notLooked : isStored ? image.yes : image.no}
                </span>
                <code title={digest}>{shortDigest(digest)}</code>
              </p>
            </li>
          );
        })}
      </ol>
      <More of={layers} texts={texts} />
    </>
  );
};
