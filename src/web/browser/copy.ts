/** Buttons that copy the lines beside them. */

/** Shows the buttons, which are of no use without a script. */
export function offerCopies(root: ParentNode): void {
  for (const button of root.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

/** Milliseconds for which a button says that it has copied. */
const SHOWN = 2_000;

async function copy(button: HTMLButtonElement): Promise<void> {
  const code = button.parentElement?.querySelector("code");
  if (!code) return;
  if (!(await written(code))) return;
  const said = document.body.dataset.copied ?? "";
  const before = button.dataset.said ?? button.textContent ?? "";
  button.dataset.said = before;
  button.textContent = said;
  announce(said);
  setTimeout(() => {
    button.textContent = before;
  }, SHOWN);
}

/** The clipboard exists for secure pages only; elsewhere the text is selected, and copied the old way. */
async function written(code: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(code);
    return document.execCommand("copy");
  }
}

/** Says something to screen readers. */
export function announce(text: string): void {
  const region = document.getElementById("announced");
  if (region) region.textContent = text;
}
