/** The bindings of the local implementations of R2 and KV. */
export interface StoreEnv {
  /** workerd's disk services: GET and HEAD of files. */
  STORE_FILES: Fetcher;
  /** The same of what is being written, and PUT. */
  INCOMING: Fetcher;
  RECORD_FILES: Fetcher;
  /** `scripts/local/writer.ts`, in the process that started workerd. */
  WRITER: Fetcher;
}
