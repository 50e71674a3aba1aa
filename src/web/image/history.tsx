/** What a tag named in the course of time, and what slow tags serve of that. */
import type { FC } from "hono/jsx";
import { cooldownFor } from "../../cooldown-settings.ts";
import { type HistoryServices, historyOf, type ShownHistory } from "../../ledger/tags.ts";
import { shortDigest, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import type { Part } from "./part.ts";

export interface TagHistoryView extends ShownHistory {
  /** When COOLDOWN lets through what the tag names now, ISO 8601; null if it does already. */
  due: string | null;
}

/** Entries that are shown. */
const MOST = 50;

/**
 * The history of a tag whose image the visitor may pull.
 * @param isOwner others see what public pulls have shown, and nothing that private ones have.
 * @returns null where nothing is recorded of it.
 */
export async function readHistory(
  services: HistoryServices,
  name: { upstream: string; repository: string },
  tag: string,
  isOwner: boolean,
): Promise<TagHistoryView | null> {
  const full = `${name.upstream}/${name.repository}`;
  const entries = await historyOf(services, `${full}:${tag}`);
  const entry =
    entries.find(({ visibility }) => visibility === "public") ?? (isOwner ? entries[0] : undefined);
  const [newest] = entry?.history ?? [];
  if (!entry || !newest) return null;
  const at = new Date(newest.from).getTime() + cooldownFor(services.config.cooldown, full);
  const isHeldBack = newest.digest !== null && newest.digest !== entry.served && at > services.now();
  return { ...entry, due: isHeldBack ? new Date(at).toISOString() : null };
}

interface HistoryProps {
  history: Part<TagHistoryView | null>;
  /** The page of the repository's images, without a reference. */
  page: string;
  texts: Texts;
}

export const History: FC<HistoryProps> = ({ history, page, texts: { image } }) => (
  <section class="block" aria-labelledby="past">
    <div class="about">
      <h2 id="past">{image.past}</h2>
      <p>{image.pastLead}</p>
    </div>
    <div class="work">
      {"failure" in history ? (
        <p class="note">{image.unread(history.failure)}</p>
      ) : history.value === null ? (
        <p class="note">{image.noPast}</p>
      ) : (
        <Entries entry={history.value} page={page} image={image} />
      )}
    </div>
  </section>
);

const Entries: FC<{ entry: TagHistoryView; page: string; image: Texts["image"] }> = ({
  entry,
  page,
  image,
}) => (
  <>
    {entry.due !== null && <p class="problem">{image.heldBack(timeText(entry.due))}</p>}
    <ul class="rows">
      {entry.history.slice(0, MOST).map(({ digest, from, to, isCurrent, isReleased }) => (
        <li>
          {digest === null ? (
            <span>{image.deleted}</span>
          ) : (
            <a href={`${page}@${digest}`}>
              <code>{shortDigest(digest)}</code>
            </a>
          )}
          <span>{isCurrent ? image.since(timeText(from)) : image.between(timeText(from), timeText(to))}</span>
          <span>
            {[
              ...(digest !== null && digest === entry.served ? [image.pullsGetThis] : []),
              ...(isReleased ? [image.isReleased] : []),
            ].join(", ")}
          </span>
        </li>
      ))}
    </ul>
  </>
);
