/**
 * What is costly to read, as it was read within some time. Values are kept and no promises: a request can't wait for what another one
 * reads, which ends with that one's client.
 * @param span milliseconds.
 * @param now milliseconds since the epoch.
 */
export function recent<Value>(
  span: number,
  now: () => number,
  read: () => Promise<Value>,
): () => Promise<Value> {
  let known: { at: number; value: Value } | null = null;
  return async () => {
    if (!known || now() - known.at > span) known = { value: await read(), at: now() };
    return known.value;
  };
}
