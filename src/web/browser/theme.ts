/** Light or dark without loading the page again. The server reads the same cookie. */
export function chooseTheme(): void {
  const links = [...document.querySelectorAll<HTMLAnchorElement>("a[data-choose]")];
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const theme = link.dataset.choose ?? "auto";
      document.documentElement.dataset.theme = theme;
      const secure = location.protocol === "https:" ? "; Secure" : "";
      // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API isn't there on plain http, where a home server is.
      document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      for (const each of links) {
        if (each === link) each.setAttribute("aria-current", "true");
        else each.removeAttribute("aria-current");
      }
    });
  }
}
