/** The space that an image takes, for the owner: other images' names aren't everyone's to know. */
import type { FC } from "hono/jsx";
import type { ImageDetail } from "../../ledger/accounts.ts";
import { bytesText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import type { Part } from "./part.ts";

/** Other images that are shown. */
const MOST = 20;

export const Space: FC<{ space: Part<ImageDetail | null>; texts: Texts }> = ({ space, texts: { image } }) => (
  <section class="block" aria-labelledby="space">
    <div class="about">
      <h2 id="space">{image.space}</h2>
      <p>{image.spaceLead}</p>
    </div>
    <div class="work">
      {"failure" in space ? (
        <p class="note">{image.unread(space.failure)}</p>
      ) : (
        space.value && <Detail detail={space.value} image={image} />
      )}
    </div>
  </section>
);

const Detail: FC<{ detail: ImageDetail; image: Texts["image"] }> = ({ detail, image }) => (
  <>
    <dl class="facts">
      <dt>{image.allOfIt}</dt>
      <dd>{bytesText(detail.size)}</dd>
      <dt>{image.alone}</dt>
      <dd>{bytesText(detail.alone)}</dd>
      <dt>{image.lastUse}</dt>
      <dd>{detail.lastUse}</dd>
      <dt>{image.leaves}</dt>
      <dd>{detail.leaves === null ? image.never : image.place(detail.leaves)}</dd>
    </dl>
    {detail.sharedWith.length > 0 && (
      <ul class="rows">
        {detail.sharedWith.slice(0, MOST).map((other) => (
          <li>
            <span>{image.sharedWith(other.image)}</span>
            <span class="number">{bytesText(other.bytes)}</span>
          </li>
        ))}
      </ul>
    )}
  </>
);
