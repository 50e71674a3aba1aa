/** The owner's section of tags: those that COOLDOWN holds back, releases, and recalled digests with their traces. */
import type { Child, FC } from "hono/jsx";
import { cooldownFor } from "../../cooldown-settings.ts";
import type { DigestTrace } from "../../ledger/pulls.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import type { TagMove } from "../../store/tag-history.ts";
import type { TagName } from "../../store/tag-records.ts";
import { shortDigest, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { Action, ActionForm, Block, ImageLink, Rows } from "./parts.tsx";
import { type OwnerServices, pathOf, type SectionView } from "./section.ts";

const PATH = pathOf("tags");

export const tags: SectionView = async ({ services, visit: { texts }, c, parts }) => {
  const { owner } = texts;
  const asked = parseDigest(c.req.query("digest") ?? "");
  const [moves, releases, recalled, trace] = await Promise.all([
    parts.read("ledger", services.tagHistory().moves(), []),
    parts.read("ledger", services.tagHistory().releases(), []),
    parts.read("ledger", services.recalls.list(), []),
    asked && parts.read("ledger", services.ledger.traceOf(asked), null),
  ]);
  return (
    <>
      <Block id="slow" heading={owner.slowTags} lead={owner.slowTagsLead}>
        <Rows
          none={services.config.cooldown.length > 0 ? owner.nothingHeld : owner.noCooldown}
          rows={heldBack(services, moves, releases).map(({ move, due }) =>
            rowOf(move, owner.dueAt(timeText(due)), ["release", owner.release]),
          )}
        />
        <ActionForm
          to={PATH}
          fields={[
            {
              ...{ name: "image", label: owner.image, required: true, maxlength: 600 },
              placeholder: "docker.io/library/nginx:1.27",
            },
          ]}
          actions={[["release", owner.release]]}
        />
      </Block>
      <Block id="released" heading={owner.releases}>
        <Rows
          none={owner.nothingReleased}
          rows={releases.map((each) => rowOf(each, timeText(each.at), ["unrelease", owner.undo]))}
        />
      </Block>
      <Block id="recalls" heading={owner.recalls} lead={owner.recallsLead}>
        {asked && trace && <Trace digest={asked} trace={trace} texts={texts} />}
        <Rows
          none={owner.noRecalls}
          rows={recalled.map(({ digest, reason, at }) => [
            <code title={digest}>{shortDigest(digest)}</code>,
            <span>{reason}</span>,
            <span class="note">{timeText(at)}</span>,
            <a href={`${PATH}?digest=${digest}#recalls`}>{owner.trace}</a>,
            <Action to={PATH} action="undo" text={owner.undo} of={shortDigest(digest)} values={{ digest }} />,
          ])}
        />
        <ActionForm
          to={PATH}
          fields={[
            {
              ...{ name: "digest", label: owner.digestOrImage, required: true, maxlength: 600 },
              placeholder: "sha256:…",
              ...(asked ? { value: asked } : {}),
            },
            { name: "reason", label: owner.reason, maxlength: 200 },
          ]}
          actions={[
            ["recall", owner.recall],
            ["trace", owner.trace],
          ]}
        />
      </Block>
    </>
  );
};

/** A tag with one of its digests, when that matters, and what can be done about it. */
function rowOf(
  tag: TagName & { digest: Digest | null },
  note: string,
  [action, text]: readonly [action: string, text: string],
): Child[] {
  const name = nameOf(tag);
  return [
    <ImageLink name={name} />,
    tag.digest && <code title={tag.digest}>{shortDigest(tag.digest)}</code>,
    <span class="note">{note}</span>,
    <Action to={PATH} action={action} text={text} of={name} values={{ image: name }} />,
  ];
}

/** Of a digest: who has pulled it, and by which tags it could come. */
const Trace: FC<{ digest: Digest; trace: DigestTrace; texts: Texts }> = ({ digest, trace, texts }) => {
  const { owner, image } = texts;
  return (
    <div class="trace">
      <h3>
        {image.digest} <code title={digest}>{shortDigest(digest)}</code>
      </h3>
      <Rows
        none={owner.pulledByNone}
        rows={trace.pulls.map(({ key, last, hours }) => [
          <strong>{key === "" ? owner.withoutKey : key}</strong>,
          <span class="number">{owner.hours(hours)}</span>,
          <span class="note">{owner.lastly(timeText(last))}</span>,
        ])}
      />
      <Rows
        none={owner.namedByNone}
        rows={trace.tags.map((tag) => [
          <ImageLink name={nameOf(tag)} />,
          <span class="note">{owner.namedFrom(timeText(tag.from))}</span>,
        ])}
      />
    </div>
  );
};

function nameOf({ upstream, repository, tag }: TagName): string {
  return `${upstream}/${repository}:${tag}`;
}

/** The latest moves of tags that COOLDOWN takes for too young, until when; nothing that was released. */
function heldBack(
  { config, now }: OwnerServices,
  moves: readonly TagMove[],
  releases: readonly (TagName & { digest: Digest })[],
): { move: TagMove; due: number }[] {
  const latest = new Map<string, TagMove>();
  for (const move of moves) {
    const key = `${move.upstream} ${move.repository} ${move.tag} ${move.visibility}`;
    if (!latest.has(key)) latest.set(key, move);
  }
  return [...latest.values()].flatMap((move) => {
    const due = move.at + cooldownFor(config.cooldown, `${move.upstream}/${move.repository}`);
    const isReleased = releases.some(
      (each) => each.digest === move.digest && each.tag === move.tag && each.repository === move.repository,
    );
    return due > now() && !isReleased ? [{ move, due }] : [];
  });
}
