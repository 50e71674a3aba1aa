/**
 * The visitor's access key in the commands on the page, in the place of one that is none. The field has no name and is in no
 * form: nothing sends it, and nothing keeps it.
 */
import { basicCredentials, isKey } from "../../guides/key.ts";

let key: string | null = null;

export function fillKey(): void {
  const field = document.getElementById("key");
  const problem = document.getElementById("key-invalid");
  if (!(field instanceof HTMLInputElement) || !problem) return;
  const placeholder = field.dataset.placeholder ?? "";
  field.addEventListener("input", () => {
    const text = field.value.trim();
    problem.textContent = text === "" || isKey(text) ? "" : (problem.dataset.text ?? "");
    const before = key ?? placeholder;
    key = isKey(text) ? text : null;
    replaceKey(document.body, before, key ?? placeholder);
  });
}

/** Puts the key into what was loaded after it was typed. */
export function fillKeyIn(root: Node): void {
  const field = document.getElementById("key");
  if (key !== null && field instanceof HTMLInputElement)
    replaceKey(root, field.dataset.placeholder ?? "", key);
}

function replaceKey(root: Node, before: string, after: string): void {
  if (before === after) return;
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const said = text.nodeValue ?? "";
    if (!said.includes(before) && !said.includes(basicCredentials(before))) continue;
    text.nodeValue = said
      .replaceAll(basicCredentials(before), basicCredentials(after))
      .replaceAll(before, after);
  }
}
