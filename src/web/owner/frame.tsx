/** What the sections of the owner's page share: the heading, the menu of sections, and what was just done. */
import type { Child, FC } from "hono/jsx";
import type { Part } from "../../ledger/parts.ts";
import { Code } from "../layout.tsx";
import type { Texts } from "../texts/en.ts";
import type { Done } from "./actions.ts";
import { pathOf, SECTIONS, type SectionName } from "./section.ts";

interface OwnerFrameProps {
  texts: Texts;
  current: SectionName;
  done: Done | null;
  /** Why what was wanted wasn't done. */
  problem: string | null;
  missing: readonly Part[];
  children?: Child;
}

export const OwnerFrame: FC<OwnerFrameProps> = ({ texts, current, done, problem, missing, children }) => {
  const { owner } = texts;
  return (
    <>
      <section class="hero plain">
        <div class="inner">
          <div class="choose">
            <h1>{owner.heading}</h1>
            <form method="post" action="/_/session">
              <input type="hidden" name="out" value="" />
              <button type="submit" class="quiet">
                {texts.session.out}
              </button>
            </form>
          </div>
          <nav class="sections" aria-label={owner.heading}>
            {SECTIONS.map((name) => (
              <a href={pathOf(name)} aria-current={name === current ? "page" : undefined}>
                {owner.section[name]}
              </a>
            ))}
          </nav>
        </div>
      </section>
      {(done !== null || problem !== null || missing.length > 0) && (
        <div class="block notices">
          {missing.map((part) => (
            <p class="notice problem" role="alert">
              {owner.missing[part]}
            </p>
          ))}
          {problem !== null && (
            <p class="notice problem" role="alert">
              {owner.notDone(problem)}
            </p>
          )}
          {done && (
            <div class="notice done" role="status">
              <p class="good">{done.text}</p>
              {done.key !== undefined && <Code text={done.key} copy={texts.copy} />}
            </div>
          )}
        </div>
      )}
      {children}
    </>
  );
};
