/** Another client's configuration, put into the page in the place of the one that is shown. */
import { offerCopies } from "./copy.ts";
import { fillKeyIn } from "./key.ts";

export function pickClient(): void {
  const form = document.getElementById("pick");
  const select = document.getElementById("client");
  const guide = document.getElementById("guide");
  if (!(form instanceof HTMLFormElement) || !(select instanceof HTMLSelectElement) || !guide) return;
  const button = form.querySelector("button");
  if (button) button.hidden = true;
  select.addEventListener("change", async () => {
    const address = `/?client=${encodeURIComponent(select.value)}`;
    try {
      const response = await fetch(address, { headers: { Accept: "text/html" } });
      if (!response.ok) throw new Error(String(response.status));
      const loaded = pageOf(await response.text()).getElementById("guide");
      if (!loaded) throw new Error("no guide");
      guide.replaceChildren(...loaded.childNodes);
    } catch {
      form.submit();
      return;
    }
    fillKeyIn(guide);
    offerCopies(guide);
    history.replaceState(null, "", `${address}#configure`);
  });
}

/** The one policy that the pages' `trusted-types` allows. */
let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

/** A page of this mirror's own, parsed: the only HTML that the script ever reads. */
function pageOf(html: string): Document {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  policy ??= types?.createPolicy("portolan", { createHTML: (text) => text });
  return new DOMParser().parseFromString((policy?.createHTML(html) ?? html) as string, "text/html");
}

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createHTML(text: string): string },
  ): { createHTML(text: string): unknown };
}
