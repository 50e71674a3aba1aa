/** What is pasted, converted as it is typed. It never leaves the browser. */
import { extractImages, LONGEST_TEXT, rewrite } from "../references/extract.ts";
import type { Found } from "../references/found.ts";
import { formatReference, isMirrored, type MirrorNames, throughMirror } from "../references/reference.ts";
import { offerCopies } from "./copy.ts";
import { code, element } from "./elements.ts";

interface Said {
  copy: string;
  none: string;
  tooLong: string;
  notServed: string;
  already: string;
  found: [string, string];
  whole: string;
  inspect: string;
}

/** Images that are listed; a file with more is rewritten as a whole all the same. */
const LISTED = 100;

export function convertPasted(): void {
  const section = document.getElementById("convert");
  const pasted = document.getElementById("pasted");
  const results = document.getElementById("results");
  const count = document.getElementById("found");
  if (!section || !(pasted instanceof HTMLTextAreaElement) || !results || !count) return;
  const names: MirrorNames = JSON.parse(section.dataset.names ?? "{}");
  const said: Said = JSON.parse(section.dataset.texts ?? "{}");

  const show = (): void => {
    const text = pasted.value;
    results.replaceChildren();
    if (text.trim() === "") {
      count.textContent = "";
      return;
    }
    const { format, images } = extractImages(text);
    const [one, many] = said.found;
    count.textContent =
      text.length > LONGEST_TEXT
        ? said.tooLong
        : images.length === 0
          ? said.none
          : images.length === 1
            ? one
            : many.replace("#", String(images.length));
    if (images.length === 0) return;
    const mirrored = (each: Found["reference"]) =>
      isMirrored(each, names) ? null : throughMirror(each, names);
    results.append(list(images, names, said, mirrored));
    const whole = rewrite(text, images, mirrored);
    if (format !== "reference" && whole !== text) {
      results.append(element("h3", { text: said.whole }), code(whole, said.copy));
    }
    offerCopies(results);
  };
  pasted.addEventListener("input", show);
  for (const button of section.querySelectorAll<HTMLButtonElement>("button[data-example]")) {
    button.addEventListener("click", () => {
      pasted.value = button.dataset.example ?? "";
      show();
    });
  }
  // Browsers keep what was typed when a page is loaded again.
  show();
}

function list(
  images: readonly Found[],
  names: MirrorNames,
  said: Said,
  mirrored: (reference: Found["reference"]) => string | null,
): HTMLElement {
  const seen = new Map(images.map(({ reference }) => [formatReference(reference), reference]));
  const items = [...seen].slice(0, LISTED).map(([name, reference]) => {
    const from = element("div", { class: "from", text: name });
    if (isMirrored(reference, names))
      return element("li", {}, from, element("p", { class: "note", text: said.already }));
    const here = mirrored(reference);
    if (here === null)
      return element("li", {}, from, element("p", { class: "problem", text: said.notServed }));
    const inside = element("a", { text: said.inspect });
    inside.href = `/_/image/${encodeURI(formatReference(reference))}`;
    return element("li", {}, from, code(here, said.copy), ...(isWritten(reference) ? [inside] : []));
  });
  return element("ul", { class: "found" }, ...items);
}

/** Whether a reference names one image, and not whatever a variable will. */
function isWritten({ suffix }: Found["reference"]): boolean {
  return !/[${]/.test(suffix);
}
