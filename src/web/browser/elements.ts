/** Elements with text; nothing on these pages is ever made of HTML that a visitor has pasted. */

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  settings: { class?: string; text?: string } = {},
  ...children: Node[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (settings.class !== undefined) made.className = settings.class;
  if (settings.text !== undefined) made.textContent = settings.text;
  made.append(...children);
  return made;
}

/** Lines with a button that copies them. */
export function code(text: string, copyText: string): HTMLElement {
  const pre = element("pre", {}, element("code", { text }));
  pre.tabIndex = 0;
  const button = element("button", { class: "copy", text: copyText });
  button.type = "button";
  button.dataset.copy = "";
  return element("div", { class: "code" }, pre, button);
}
