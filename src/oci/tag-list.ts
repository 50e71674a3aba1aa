// The tags of a tags list, read as the list comes: some registries send lists of many megabytes in one response, and put
// much into them that isn't a tag.

/** Characters of the longest token that is put together from several chunks; no key and no tag comes near it. */
const LONGEST_TOKEN = 64 * 1024;

/** Says that a body is no tags list. */
export class MalformedTagList extends Error {}

export class TagListReader {
  readonly #onTag: (tag: string) => void;
  readonly #decoder = new TextDecoder();
  /** The beginning of a string whose end is still to come. */
  #rest = "";
  #depth = 0;
  #isStarted = false;
  #lastString: string | null = null;
  #key: string | null = null;

  /** @param onTag receives every string of the document's `tags`, in the registry's order. */
  constructor(onTag: (tag: string) => void) {
    this.#onTag = onTag;
  }

  /** @throws MalformedTagList */
  write(chunk: Uint8Array): void {
    this.#read(this.#decoder.decode(chunk, { stream: true }));
  }

  /** @throws MalformedTagList if the document hasn't ended. */
  end(): void {
    this.#read(this.#decoder.decode());
    if (!this.#isStarted || this.#depth !== 0 || this.#rest !== "") throw new MalformedTagList();
  }

  #read(text: string): void {
    const buffer = this.#rest + text;
    this.#rest = "";
    for (const { 0: token, index } of buffer.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,"]|[^\s{}[\]:,"]+/gs)) {
      if (token === '"') {
        this.#rest = buffer.slice(index);
        if (this.#rest.length > LONGEST_TOKEN) throw new MalformedTagList();
        return;
      }
      this.#take(token);
    }
  }

  #take(token: string): void {
    if (this.#depth === 0) {
      if (token !== "{" || this.#isStarted) throw new MalformedTagList();
      this.#isStarted = true;
    }
    if (token === "{" || token === "[") this.#depth++;
    else if (token === "}" || token === "]") this.#depth--;
    else if (this.#depth === 1) this.#takeMember(token);
    else if (this.#depth === 2 && this.#key === "tags" && token.startsWith('"')) this.#onTag(parse(token));
  }

  #takeMember(token: string): void {
    if (token.startsWith('"')) this.#lastString = parse(token);
    else if (token === ":") this.#key = this.#lastString;
    else if (token === ",") this.#key = null;
  }
}

function parse(token: string): string {
  try {
    return JSON.parse(token);
  } catch {
    throw new MalformedTagList();
  }
}
