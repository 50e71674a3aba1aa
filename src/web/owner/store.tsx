/** The owner's section of the store: what fills it, what leaves next, and what can be done about images. */
import type { FC } from "hono/jsx";
import { accountOf, type ImageAccount } from "../../ledger/accounts.ts";
import { bytesText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { Gauge } from "./charts.tsx";
import { Action, ActionForm, ActionsHeading, Block, ImageLink, Table } from "./parts.tsx";
import { pathOf, type SectionView } from "./section.ts";

const PATH = pathOf("store");
/** Images that are listed. */
const MOST = 100;

export const store: SectionView = async ({ services, visit: { texts }, parts }) => {
  const { owner } = texts;
  const [account, pins] = await Promise.all([accountOf(services, parts), services.pins.list()]);
  const { limit, bytes, pinned, unreferenced } = account;
  const text = owner.stored(bytesText(bytes), bytesText(limit), Math.round((bytes / limit) * 100));
  const leaving = account.images
    .filter(({ leaves }) => leaves !== null)
    .sort((one, other) => (one.leaves ?? 0) - (other.leaves ?? 0));
  const kept = account.images.filter(({ isPinned }) => isPinned);
  return (
    <>
      <Block id="store" heading={owner.store}>
        <p>{text}</p>
        <Gauge
          limit={limit}
          label={text}
          shares={[
            { kind: "depth-5", name: owner.shares.pinned, bytes: pinned },
            {
              kind: "depth-3",
              name: owner.shares.images,
              bytes: Math.max(0, bytes - pinned - unreferenced.bytes),
            },
            { kind: "depth-1", name: owner.shares.unreferenced, bytes: unreferenced.bytes },
          ]}
        />
        <p class="note">
          {owner.growth(bytesText(account.growth), account.full)}{" "}
          {account.evicted !== null && owner.evicted(bytesText(account.evicted))}
        </p>
      </Block>
      <Block id="leaving" heading={owner.leavesNext} lead={owner.leavesLead}>
        {leaving.length === 0 ? (
          <p class="note">{owner.nothingStored}</p>
        ) : (
          <Images images={leaving.slice(0, MOST)} texts={texts} label={owner.leavesNext} mayPin />
        )}
        {leaving.length > MOST && <p class="note">{owner.moreImages(leaving.length - MOST)}</p>}
      </Block>
      <Block id="pinned" heading={owner.pinned} lead={owner.pinnedLead}>
        {pins.length > 0 && (
          <ul class="rows">
            {pins.map(({ pattern, from }) => (
              <li>
                <code>{pattern}</code>
                {from === "configured" ? (
                  <span class="note">PIN</span>
                ) : (
                  <Action to={PATH} action="unpin" text={owner.unpin} of={pattern} values={{ pattern }} />
                )}
              </li>
            ))}
          </ul>
        )}
        {kept.length === 0 ? (
          <p class="note">{owner.nothingPinned}</p>
        ) : (
          <Images images={kept.slice(0, MOST)} texts={texts} label={owner.pinned} />
        )}
      </Block>
      <Block id="images" heading={owner.images} lead={owner.imagesLead}>
        <ActionForm
          to={PATH}
          fields={[
            {
              ...{ name: "image", label: owner.image, required: true, maxlength: 600 },
              placeholder: "docker.io/library/nginx:1.27",
            },
          ]}
          actions={[
            ["warm", owner.warm],
            ["pin", owner.pin],
            ["purge", owner.purge],
          ]}
        />
      </Block>
    </>
  );
};

interface ImagesProps {
  images: readonly ImageAccount[];
  texts: Texts;
  label: string;
  /** Whether they can be pinned from here. */
  mayPin?: boolean;
}

const Images: FC<ImagesProps> = (props) => {
  const { owner } = props.texts;
  return (
    <Table
      label={props.label}
      columns={[
        { heading: owner.image },
        { heading: owner.size, isNumber: true, isExtra: true },
        { heading: owner.frees, isNumber: true },
        { heading: owner.lastUse, isExtra: true },
        { heading: <ActionsHeading texts={props.texts} /> },
      ]}
      rows={props.images.map((image) => {
        const [first, ...others] = image.names.map(({ name }) => name);
        const name = first ?? image.digest;
        return [
          <>
            <ImageLink name={name} />
            {others.length > 0 && <span class="note"> {owner.andTags(others.length)}</span>}
            {!image.isWhole && <span class="note"> {owner.partly}</span>}
          </>,
          bytesText(image.size),
          bytesText(image.frees ?? image.alone),
          <>
            {image.lastUse} <span class="note">{owner.hours(image.hours)}</span>
          </>,
          <>
            {props.mayPin && !name.includes("@") && (
              <Action to={PATH} action="pin" text={owner.pin} of={name} values={{ image: name }} />
            )}
            <Action to={PATH} action="remove" text={owner.remove} of={name} values={{ image: name }} />
          </>,
        ];
      })}
    />
  );
};
