/** Settings can't be added to a file by a program without a change of what else it says; the message has the way out. */
export class UnsafeChange extends Error {
  override readonly name = "UnsafeChange";
}

/** @param content what is to be added, as the guide has it */
export function addByHand(reason: string, content: string): UnsafeChange {
  return new UnsafeChange(`${reason} Nothing was written. Add this by hand:\n\n${content.trimEnd()}`);
}
