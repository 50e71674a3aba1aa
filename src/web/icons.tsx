/** Drawings, in the colour of the text around them. */
import type { FC } from "hono/jsx";

/** The compass rose of a portolan chart. */
export const Compass: FC = () => (
  <svg class="compass" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <circle cx="16" cy="16" r="14.5" fill="none" stroke="currentColor" stroke-width="1" />
    <path d="M16 1 19 13 16 16 13 13Z M16 31 13 19 16 16 19 19Z" fill="currentColor" />
    <path d="M1 16 13 13 16 16 13 19Z M31 16 19 19 16 16 19 13Z" fill="none" stroke="currentColor" />
    <path class="north" d="M16 1 19 13 16 16Z" />
  </svg>
);

export const Sun: FC = () => (
  <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
    <circle cx="12" cy="12" r="4.5" fill="currentColor" />
    <path
      d="M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
    />
  </svg>
);

export const Moon: FC = () => (
  <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
    <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z" fill="currentColor" />
  </svg>
);

/** Rhumb lines from one point, as they cross a portolan chart: behind the first page's head. */
export const Rhumbs: FC = () => {
  const angles = Array.from({ length: 32 }, (_, at) => (at * Math.PI) / 16);
  const lines = angles.map(
    (angle) => `M0 0L${(Math.cos(angle) * 900).toFixed(0)} ${(Math.sin(angle) * 900).toFixed(0)}`,
  );
  return (
    <svg class="rhumbs" viewBox="-450 -220 560 440" preserveAspectRatio="xMaxYMid slice" aria-hidden="true">
      <path d={lines.join("")} />
      <circle r="46" />
      <circle r="120" />
      <circle r="210" />
      <circle r="320" />
    </svg>
  );
};
