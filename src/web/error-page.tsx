/** What went wrong, in words. */
import type { FC } from "hono/jsx";
import type { RegistryError } from "../oci/errors.ts";
import type { Visit } from "./site.ts";

export const ErrorView: FC<{ visit: Visit; error: Pick<RegistryError, "status" | "message"> }> = ({
  visit: { texts },
  error,
}) => (
  <section class="block" aria-labelledby="error">
    <div class="about">
      <h1 id="error">{texts.error.heading}</h1>
    </div>
    <div class="work">
      <p>{texts.error.status[String(error.status)] ?? texts.error.other}</p>
      <p class="note">
        {texts.error.says} <span lang="en">{error.message}</span>
      </p>
      <p>
        <a href="/">{texts.error.back}</a>
      </p>
    </div>
  </section>
);
