/** Signing in with an access key or ADMIN_KEY. */
import type { FC } from "hono/jsx";
import type { Visit } from "./site.ts";

interface SignInProps {
  visit: Visit;
  /** Where to go then: a path of this mirror's pages. */
  next: string;
  problem: string | null;
  isSignedIn: boolean;
}

export const SignIn: FC<SignInProps> = ({ visit: { texts }, next, problem, isSignedIn }) => (
  <section class="block" aria-labelledby="sign-in">
    <div class="about">
      <h1 id="sign-in">{texts.session.heading}</h1>
      <p>{texts.session.lead}</p>
    </div>
    <div class="work">
      <form method="post" action="/_/session">
        {problem !== null && (
          <p class="problem" role="alert" id="problem">
            {problem}
          </p>
        )}
        <input type="hidden" name="next" value={next} />
        <label for="secret">{texts.session.label}</label>
        <input
          id="secret"
          name="key"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          aria-describedby={problem === null ? undefined : "problem"}
        />
        <p>
          <button type="submit">{texts.session.submit}</button>
        </p>
      </form>
      {isSignedIn && (
        <form method="post" action="/_/session">
          <input type="hidden" name="out" value="" />
          <p>
            <button type="submit" class="quiet">
              {texts.session.out}
            </button>
          </p>
        </form>
      )}
    </div>
  </section>
);

/** A path of this mirror's own pages; what isn't one leads to the start. */
export function ownPath(text: string | null | undefined): string {
  const url = text ? URL.parse(text, "http://mirror") : null;
  return url?.host === "mirror" && url.protocol === "http:" && url.pathname.startsWith("/_/")
    ? url.pathname + url.search
    : "/";
}

/** Where a visitor signs in to see a page. @param next the page's path */
export function signInPath(next: string): string {
  return `/_/session?next=${encodeURIComponent(next)}`;
}
