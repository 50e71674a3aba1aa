/** The owner's section of hosted repositories: what each has, and the bytes that are freed by deleting some of it. */
import type { FC } from "hono/jsx";
import { readForwarded } from "../../ledger/forwarded.ts";
import type { HostedImage, HostedRemoval } from "../../ledger/hosted.ts";
import type { GatewayProcess } from "../../push/forward.ts";
import { bytesText, shortDigest, timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { Action, ActionForm, ActionsHeading, Block, Figures, Table } from "./parts.tsx";
import { pathOf, type SectionRequest, type SectionView } from "./section.ts";

const PATH = pathOf("hosted");
/** Repositories, or tags of one, on a page. */
const PAGE = 100;

export const hosted: SectionView = (request) => {
  const { gateway } = request.services;
  if (gateway) return elsewhere(request, gateway.process);
  const repository = request.c.req.query("repository");
  return repository === undefined ? repositories(request) : images(request, repository);
};

/** At a gateway: where hosted repositories are. Its own records have nothing of them. */
async function elsewhere({ visit: { texts }, parts }: SectionRequest, process: GatewayProcess) {
  const { owner } = texts;
  const forwarded = await parts.read("hosted", readForwarded(process), null);
  return (
    forwarded && (
      <Block id="repositories" heading={owner.hosted} lead={owner.forwardedLead}>
        <p>
          <a href={forwarded.url + PATH}>{forwarded.url}</a>
        </p>
      </Block>
    )
  );
}

async function repositories({ services, visit: { texts }, c, parts }: SectionRequest) {
  const { owner } = texts;
  const { hostedRecords, config } = services;
  const { path } = config.hosted;
  const [count, found, collected] = await Promise.all([
    parts.read("hosted", hostedRecords.count(), null),
    parts.read("hosted", hostedRecords.account(c.req.query("after") ?? null, PAGE), null),
    parts.read("hosted", hostedRecords.collect(true), null),
  ]);
  const last = found?.length === PAGE ? found.at(-1)?.repository : undefined;
  return (
    <>
      {count && (
        <div class="block">
          <Figures
            figures={[
              [owner.repositories, count.repositories.toLocaleString("en")],
              [owner.tagCount, count.tags.toLocaleString("en")],
              [owner.size, bytesText(count.bytes)],
              [owner.uploads, count.uploads.toLocaleString("en")],
            ]}
          />
        </div>
      )}
      {found && (
        <Block id="repositories" heading={owner.hosted} lead={owner.hostedLead}>
          {found.length === 0 ? (
            <p class="note">{owner.noRepositories}</p>
          ) : (
            <Table
              label={owner.hosted}
              columns={[
                { heading: owner.repository },
                { heading: owner.tagCount, isNumber: true },
                { heading: owner.size, isNumber: true },
                { heading: owner.pushed, isExtra: true },
              ]}
              rows={found.map(({ repository, tags, bytes, pushed }) => [
                <a
                  href={`${PATH}?repository=${encodeURIComponent(repository)}`}
                >{`${path}/${repository}`}</a>,
                tags.toLocaleString("en"),
                bytesText(bytes),
                pushed === null ? "" : timeText(pushed).slice(0, 10),
              ])}
            />
          )}
          {last !== undefined && <Next query={{ after: last }} texts={texts} />}
        </Block>
      )}
      {collected && (
        <Block id="gc" heading={owner.gc} lead={owner.gcLead}>
          <p>
            {owner.gcNow(bytesText(collected.freed), collected.deleted, collected.tags, collected.uploads)}
          </p>
          <p class="note">{owner.gcLater(bytesText(collected.waiting))}</p>
          <ActionForm to={PATH} fields={[]} actions={[["gc", owner.gcRun]]} />
        </Block>
      )}
    </>
  );
}

async function images({ services, visit: { texts }, c, parts }: SectionRequest, repository: string) {
  const { owner } = texts;
  const { hostedRecords, config } = services;
  const name = `${config.hosted.path}/${repository}`;
  const to = `${PATH}?repository=${encodeURIComponent(repository)}`;
  const [found, all] = await Promise.all([
    parts.read("hosted", hostedRecords.images(repository, c.req.query("after") ?? null, PAGE), []),
    parts.read("hosted", hostedRecords.remove(repository, "all", true), "unknown" as const),
  ]);
  const last = found.length === PAGE ? found.at(-1)?.tag : null;
  return (
    <>
      <Block id="repository" heading={name}>
        <p>
          <a href={PATH}>{owner.allRepositories}</a>
        </p>
        {found.length === 0 ? (
          <p class="note">{owner.noImages}</p>
        ) : (
          <Table
            label={name}
            columns={[
              { heading: owner.tag },
              { heading: texts.image.digest, isExtra: true },
              { heading: owner.size, isNumber: true },
              { heading: owner.pushed, isExtra: true },
              { heading: <ActionsHeading texts={texts} /> },
            ]}
            rows={found.map((image) => [
              <a href={`/_/image/${name}${image.tag === null ? `@${image.digest}` : `:${image.tag}`}`}>
                {image.tag ?? owner.untagged}
              </a>,
              <code title={image.digest}>{shortDigest(image.digest)}</code>,
              bytesText(image.bytes),
              timeText(image.updated).slice(0, 10),
              all === "immutable" ? "" : <Deletions {...{ to, image, owner }} />,
            ])}
          />
        )}
        {typeof last === "string" && <Next query={{ repository, after: last }} texts={texts} />}
      </Block>
      {all === "immutable" ? (
        <Block id="delete" heading={owner.deleteAll}>
          <p class="note">{owner.immutable}</p>
        </Block>
      ) : (
        all !== "unknown" && <DeleteAll {...{ to, name, all, texts }} />
      )}
    </>
  );
}

const Deletions: FC<{ to: string; image: HostedImage; owner: Texts["owner"] }> = ({ to, image, owner }) => (
  <span class="buttons">
    {image.tag !== null && (
      <Action
        {...{ to, action: "untag", text: owner.deleteTag, of: image.tag }}
        values={{ tag: image.tag }}
      />
    )}
    <Action
      {...{ to, action: "delete", text: owner.deleteImage, of: image.tag ?? shortDigest(image.digest) }}
      values={{ digest: image.digest }}
    />
  </span>
);

const DeleteAll: FC<{ to: string; name: string; all: HostedRemoval; texts: Texts }> = (props) => {
  const { owner } = props.texts;
  const { tags, manifests, freed } = props.all;
  return (
    <Block id="delete" heading={owner.deleteAll}>
      <ActionForm to={props.to} fields={[]} actions={[["delete-repository", owner.deleteAll]]}>
        <p>
          <label class="sure">
            <input type="checkbox" name="sure" value="yes" required />
            {owner.sure(props.name, tags, manifests, bytesText(freed))}
          </label>
        </p>
      </ActionForm>
    </Block>
  );
};

const Next: FC<{ query: Record<string, string>; texts: Texts }> = ({ query, texts }) => (
  <p>
    <a href={`${PATH}?${new URLSearchParams(query)}`}>{texts.owner.next}</a>
  </p>
);
