// The interface that the tests require of every client.

export interface PulledImage {
  /** The digest that the client itself writes down for the reference. */
  digest: string;
  /** The digest of the image's config: what Docker calls the image ID. */
  config: string;
}

export interface Client {
  /** Rejects if the pull fails; the error holds what the client printed. */
  pull(reference: string): Promise<PulledImage>;
  /** Starts a container and returns what it printed. */
  run(reference: string): Promise<string>;
  /** Forgets everything that was pulled: the next pull requests all of it again. */
  clean(): Promise<void>;
  stop(): Promise<void>;
}

/** Reads one field of JSON that a client printed, without trusting its shape. */
export function field(value: unknown, ...path: (string | number)[]): unknown {
  let current: unknown = value;
  for (const step of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Reflect.get(current, step);
  }
  return current;
}

export function text(value: unknown, ...path: (string | number)[]): string {
  const found = field(value, ...path);
  if (typeof found === "string") return found;
  throw new Error(`no text at ${path.join(".")} in ${JSON.stringify(value).slice(0, 2_000)}`);
}
