/** What a response is put together from. A part that can't be read is left out and named, and the rest is given. */

/** The ledger's object, the records of hosted repositories, and the access keys. */
export type Part = "ledger" | "hosted" | "keys";

/** The parts of one response. */
export class Parts {
  readonly #missing = new Set<Part>();

  /** @returns `other` where the part can't be read. */
  async read<Value, Other>(part: Part, reading: Promise<Value>, other: Other): Promise<Value | Other> {
    try {
      return await reading;
    } catch (error) {
      console.warn(`${NAMES[part]} can't be read: ${error}`);
      this.#missing.add(part);
      return other;
    }
  }

  /** The parts that couldn't be read. */
  get missing(): Part[] {
    return [...this.#missing].sort();
  }
}

const NAMES: Readonly<Record<Part, string>> = {
  ledger: "the ledger",
  hosted: "the records of hosted repositories",
  keys: "the access keys",
};
