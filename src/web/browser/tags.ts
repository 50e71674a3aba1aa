/** Narrows the tags that are shown to those that contain what is typed. */
export function filterTags(): void {
  const field = document.getElementById("filter");
  const list = document.getElementById("tag-list");
  if (!(field instanceof HTMLInputElement) || !list || list.childElementCount < 10) return;
  if (field.parentElement) field.parentElement.hidden = false;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const item of list.children) {
      if (item instanceof HTMLElement) item.hidden = !(item.textContent ?? "").toLowerCase().includes(wanted);
    }
  });
}
