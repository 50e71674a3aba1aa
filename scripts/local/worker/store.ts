/** The Worker that stands in for R2 and KV on one machine. */

export interface StoreEnv {
  /** workerd's disk services: GET and HEAD of files. */
  STORE_FILES: Fetcher;
  RECORD_FILES: Fetcher;
  /** `scripts/local/writer.ts`, in the process that started workerd. */
  WRITER: Fetcher;
}

export { DiskBucket } from "./disk-bucket.ts";
export { DiskRecords } from "./disk-records.ts";

export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
